/* The probe's connection with a server that sends whatever it likes, and then closes. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "probe/search.h"

/* What fits into a socket's buffer at once. */
#define SENT_MAX 32768u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void name_all(const struct line *line) {
    for (unsigned i = 0; i < line->hashed_count && i < 2; i++)
        for (size_t at = 0; at < line->hashed[i].size; at += 7) {
            struct search_field field = search_field_at(line->hashed[i], i == 1, at);

            if (field.at > at || field.size == 0 || field.name[0] == '\0')
                abort();
        }
}

static void converse(struct line *line) {
    const struct auth_credentials guest = {
        .method = AUTH_METHOD_NTLM, .user = "guest", .password = "", .host = "server"};
    struct validate_negotiate_info_response info;
    struct line_claim claim;
    struct line_reply reply;
    struct line_logon logon;

    if (!line_agree(line, &reply))
        return;
    name_all(line);
    logon = line_log_on(line, &guest);
    if (logon.result != LOGON_DONE)
        return;
    line_connect_tree(line, logon.has_keys ? LINE_SIGNED : LINE_PLAIN);
    line_claim(line, &claim);
    reply = line_validate(line, &claim, logon.has_keys ? LINE_BADLY_SIGNED : LINE_PLAIN);
    reply_read_info(&reply, &info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct line line;
    const struct line_target target = {.host = "server", .share = "share", .port = 445, .timeout_ms = 1000};
    const struct id_list dialects = {{SMB2_DIALECT_210, SMB2_DIALECT_302, SMB2_DIALECT_311}, 3};
    int ends[2];

    if (size > SENT_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return 0;
    if (write(ends[1], data, size) == (ssize_t)size && shutdown(ends[1], SHUT_WR) == 0 &&
        line_adopt(&line, &target, &dialects, ends[0]).answer == LINE_ANSWERED)
        converse(&line);
    line_close(&line);
    close(ends[1]);
    return 0;
}
