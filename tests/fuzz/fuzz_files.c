/* Bodies and records of files, directories and srvsvc against any octets. The input is taken as each of them. */
#include <stdlib.h>
#include <string.h>

#include "bodies.h"
#include "wire/messages.h"

#define INPUT_SIZE_MAX 65536u /* octets; longer inputs show nothing new */

/* In memory of exactly its size, behind a header, so that a read beyond it is noticed. */
static void check_messages(const uint8_t *data, size_t size) {
    uint8_t *message = calloc(1, SMB2_HEADER_SIZE + size);

    if (message == NULL)
        abort();
    if (size > 0)
        memcpy(message + SMB2_HEADER_SIZE, data, size);
    for (unsigned kind = 0; kind < bodies_count(); kind++)
        bodies_check(kind, (struct span){message, SMB2_HEADER_SIZE + size});
    free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > INPUT_SIZE_MAX)
        return 0;
    check_messages(data, size);
    for (unsigned kind = 0; kind < bodies_count(); kind++)
        bodies_check(kind, (struct span){data, size});
    bodies_check_lists((struct span){data, size});
    return 0;
}
