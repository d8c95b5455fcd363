#include "core/preauth.h"

#include <assert.h>
#include <string.h>

void preauth_init(struct preauth *preauth) {
    memset(preauth->value, 0, sizeof(preauth->value));
}

bool preauth_update(struct preauth *preauth, struct span message) {
    assert(preauth);
    const struct span spans[] = {{preauth->value, sizeof(preauth->value)}, message};
    uint8_t next[SHA512_SIZE];

    if (!hash_sha512(spans, 2, next))
        return false;
    memcpy(preauth->value, next, sizeof(next));
    return true;
}
