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
