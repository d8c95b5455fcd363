/* What the files of the tests share. */
#ifndef SMBPROOF_PROBE_TESTS_H
#define SMBPROOF_PROBE_TESTS_H

#include "probe/probe.h"

struct probe {
    const struct probe_options *options;
    struct probe_facts *facts;
    const struct probe_test *test; /* that runs now */
    struct line *line;
    int64_t next_connection_ms;
    unsigned connections;
    char address[64];
    bool zero_in_guid; /* the ClientGuid of what probe_agree() opens has an octet 0 near its beginning */
};

/* The result of a test, with what happened. */
void result_say(struct probe_result *result, enum probe_outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The server's answer is not the one expected: PROBE_SERVER with the test's cause. */
void result_blame(struct probe *probe, struct probe_result *result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* "STATUS_ACCESS_DENIED, signed", "closed without a word": what came. Borrowed from `text`. */
const char *reply_text(const struct line_reply *reply, char text[PROBE_TEXT_MAX]);

/* A new connection that offers these dialects, not faster than the limit. False: the result says why. */
bool probe_open(struct probe *probe, const struct id_list *dialects, struct probe_result *result);
/* And NEGOTIATE as a correct client makes it. */
bool probe_agree(struct probe *probe, const struct id_list *dialects, struct probe_result *result);
/* And a logon with the given credentials that made keys. The signature of the last response is not judged. */
bool probe_log_on(struct probe *probe, const struct id_list *dialects, struct line_logon *logon,
                  struct probe_result *result);
/* And a signed TREE_CONNECT. */
bool probe_connect_tree(struct probe *probe, const struct id_list *dialects, struct probe_result *result);

/* The last response of a logon is not signed with the key that this end has: which octets would make it so? */
void explain_bad_signature(struct probe *probe, struct probe_result *result);

struct id_list list_one(uint16_t dialect);
struct id_list list_all(void);
bool server_speaks(const struct probe *probe, uint16_t dialect);

/* tests_negotiate.c */
void test_reach(struct probe *probe, struct probe_result *result);
void test_smb1_alone(struct probe *probe, struct probe_result *result);
void test_multi_protocol(struct probe *probe, struct probe_result *result);
void test_dialect_202(struct probe *probe, struct probe_result *result);
void test_dialect_210(struct probe *probe, struct probe_result *result);
void test_dialect_300(struct probe *probe, struct probe_result *result);
void test_dialect_302(struct probe *probe, struct probe_result *result);
void test_dialect_311(struct probe *probe, struct probe_result *result);
void test_dialect_all(struct probe *probe, struct probe_result *result);
void test_signing_offered(struct probe *probe, struct probe_result *result);
void test_encryption_offered(struct probe *probe, struct probe_result *result);
void test_second_negotiate(struct probe *probe, struct probe_result *result);
/* tests_contexts.c */
void test_no_contexts(struct probe *probe, struct probe_result *result);
void test_no_preauth(struct probe *probe, struct probe_result *result);
void test_two_preauth(struct probe *probe, struct probe_result *result);
void test_unknown_hash(struct probe *probe, struct probe_result *result);
void test_unknown_cipher(struct probe *probe, struct probe_result *result);
void test_unknown_context(struct probe *probe, struct probe_result *result);
void test_newest_contexts(struct probe *probe, struct probe_result *result);
/* tests_session.c */
void test_client(struct probe *probe, struct probe_result *result);
void test_guest(struct probe *probe, struct probe_result *result);
void test_anonymous(struct probe *probe, struct probe_result *result);
void test_signing_used(struct probe *probe, struct probe_result *result);
void test_encryption_used(struct probe *probe, struct probe_result *result);
void test_hash(struct probe *probe, struct probe_result *result);
void test_unsigned_tree(struct probe *probe, struct probe_result *result);
/* tests_validate.c */
void test_validate_202(struct probe *probe, struct probe_result *result);
void test_validate_210(struct probe *probe, struct probe_result *result);
void test_validate_300(struct probe *probe, struct probe_result *result);
void test_validate_302(struct probe *probe, struct probe_result *result);
void test_validate_list(struct probe *probe, struct probe_result *result);
void test_wrong_guid(struct probe *probe, struct probe_result *result);
void test_wrong_guid_end(struct probe *probe, struct probe_result *result);
void test_wrong_mode(struct probe *probe, struct probe_result *result);
void test_wrong_capabilities(struct probe *probe, struct probe_result *result);
void test_wrong_dialects(struct probe *probe, struct probe_result *result);
void test_fewer_dialects(struct probe *probe, struct probe_result *result);
void test_permuted_dialects(struct probe *probe, struct probe_result *result);
void test_small_output(struct probe *probe, struct probe_result *result);
void test_unsigned(struct probe *probe, struct probe_result *result);
void test_bad_signature(struct probe *probe, struct probe_result *result);
void test_validate_311(struct probe *probe, struct probe_result *result);

#endif
