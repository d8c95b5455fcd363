/* The whole of `smbproof explain` over one capture in memory, as JSON and as text. */
#include <stdio.h>
#include <stdlib.h>

#include "explain/explain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static FILE *nowhere;
    struct explain_options options = {
        .captures = {"fuzzed", NULL},
        .contents = {{data, size}},
        .quiet = true,
        .json = size % 2 == 0,
        .style = {.verbose = true, .width = 80},
    };
    enum exit_status status;

    if (size == 0)
        return 0;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    status = explain(&options, nowhere);
    if (status != EXIT_NO_PROBLEM && status != EXIT_PROBLEM && status != EXIT_CANNOT_TELL && status != EXIT_INPUT)
        abort();
    return 0;
}
