#include "store/store.h"

void store_submit(struct store *store, struct store_op *op) {
    op->store = store;
    op->result = 0;
    op->path_missing = false;
    store->methods->submit(store, op);
}

void store_free(struct store *store) {
    if (store != NULL)
        store->methods->free(store);
}

int store_sendable(struct store *store, struct store_file *file, uint64_t offset, uint64_t *size) {
    return store->methods->sendable != NULL ? store->methods->sendable(store, file, offset, size) : -1;
}

bool store_takes_pipe(const struct store *store, const struct store_file *file) {
    return store->methods->takes_pipe != NULL && store->methods->takes_pipe(store, file);
}
