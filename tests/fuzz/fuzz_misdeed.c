/* `conform client` against any octets: the first one chooses the case; then come frames, each with a length in two octets,
 * that go by as a request of the client's and as an answer of the server's. What a misdeed makes of an answer fits into
 * its room, and the judge comes to a result. */
#include <stdlib.h>
#include <string.h>

#include "conform/client.h"

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

#define SESSION_ID 0x5e55000000000001u

static void go_by(const struct misdeed_plan *plan, const struct misdeed_keys *keys, struct span frame,
                  struct client_watch *watch) {
    static struct misdeed_answer answer;
    struct conform_client client = {.seen = false};
    struct span instead;

    client_watch_request(watch, frame, &client);
    CHECK(client.dialects.count <= POLICY_IDS_MAX);
    if (!misdeed_take(&answer, keys, frame))
        return;
    CHECK(answer.message.size <= frame.size);
    client_watch_answer(watch, answer.message);
    if (!misdeed_commit(plan, keys, watch->validation, &answer, &instead))
        return;
    CHECK(instead.size <= sizeof answer.octets);
    CHECK(instead.size == 0 || (instead.data >= answer.octets &&
                                instead.data + instead.size <= answer.octets + sizeof answer.octets));
    client_watch_altered(watch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t octets[16] = {1};
    const struct conform_suite *suite = conform_clients();
    struct span key = {octets, sizeof octets};
    struct reader reader = reader_over((struct span){data, size});
    const struct conform_case *test = &suite->cases[reader_u8(&reader) % suite->count];
    struct sealer sealer;
    struct misdeed_keys keys = {mac_key_new(MAC_AES_CMAC, key), aead_key_new(AEAD_AES_128_GCM, AEAD_SEAL, key),
                                aead_key_new(AEAD_AES_128_GCM, AEAD_OPEN, key), &sealer};
    struct client_watch watch;
    struct conform_result result;
    struct misdeed_plan plan;
    char complaint[TAMPER_COMPLAINT_MAX];

    CHECK(keys.mac != NULL && keys.seal != NULL && keys.open != NULL);
    CHECK(misdeed_plan(test->misdeed, &plan, complaint));
    sealer_init(&sealer, keys.seal, SESSION_ID);
    client_watch_begin(&watch, test->misdeed);
    while (reader_left(&reader) > 2) {
        size_t length = reader_u16(&reader);

        length = length <= reader_left(&reader) ? length : reader_left(&reader);
        go_by(&plan, &keys, span_slice(reader.bytes, reader.at, length), &watch);
        reader_skip(&reader, length);
    }
    client_judge(test, &watch, 1, false, &result);
    CHECK(result.seen[0] != '\0' && memchr(result.seen, '\0', sizeof result.seen) != NULL);
    mac_key_free(keys.mac);
    aead_key_free(keys.seal);
    aead_key_free(keys.open);
    return 0;
}
