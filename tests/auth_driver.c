/* Initiator or acceptor for tests in other languages: each line of standard input is a token in
 * hexadecimal, each line of output says what became of it.
 *
 *   auth_driver initiate METHOD USER DOMAIN PASSWORD HOST CCACHE
 *   auth_driver accept ACCOUNTS KEYTAB [anonymous] [guest]
 *   auth_driver ticket SERVICE@HOST CCACHE           (prints a client's first token for it)
 *   auth_driver hint ACCOUNTS KEYTAB                 (prints what goes into a NEGOTIATE response)
 *   auth_driver bench ACCOUNTS KEYTAB METHOD USER PASSWORD HOST COUNT
 *
 * "-" is nothing; METHOD is any, ntlm, kerberos or anonymous. Output:
 *
 *   continue TOKEN
 *   complete TOKEN KEY MECHANISM KIND USER DOMAIN     (KIND: user, guest or anonymous)
 *   failed STATUS REASON
 *
 * A password as an argument is for tests only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "auth/acceptor.h"
#include "auth/spnego.h"

#define LINE_SIZE (2 * AUTH_TOKEN_MAX + 8)

static const char *or_null(const char *argument) {
    return strcmp(argument, "-") == 0 ? NULL : argument;
}

static enum auth_method method_of(const char *name) {
    static const char *const names[] = {"any", "ntlm", "kerberos", "anonymous"};

    for (unsigned i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum auth_method)i;
    fprintf(stderr, "auth_driver: what is %s?\n", name);
    exit(2);
}

static void put_hex(struct span bytes) {
    if (bytes.size == 0)
        putchar('-');
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
}

/* false at the end of the input. */
static bool take_token(uint8_t *token, size_t *size) {
    static char line[LINE_SIZE];
    unsigned octet;

    *size = 0;
    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    while (*size < AUTH_TOKEN_MAX && sscanf(line + 2 * *size, "%2x", &octet) == 1)
        token[(*size)++] = (uint8_t)octet;
    return true;
}

static void put_complete(struct span out, struct span key, const char *mechanism) {
    fputs("complete ", stdout);
    put_hex(out);
    putchar(' ');
    put_hex(key);
    printf(" %s ", mechanism);
}

static void put_continue(struct span out) {
    fputs("continue ", stdout);
    put_hex(out);
    putchar('\n');
    fflush(stdout);
}

static int initiate(const struct auth_credentials *credentials) {
    static uint8_t token[AUTH_TOKEN_MAX];
    struct auth_initiator *initiator = auth_initiator_new(credentials);
    enum auth_state state = AUTH_CONTINUE;
    struct span out;
    size_t size;

    while (state == AUTH_CONTINUE && take_token(token, &size)) {
        state = auth_initiator_step(initiator, (struct span){token, size}, &out);
        if (state == AUTH_CONTINUE)
            put_continue(out);
    }
    if (state == AUTH_COMPLETE) {
        put_complete(out, auth_initiator_session_key(initiator),
                     auth_initiator_mechanism(initiator));
        puts(auth_initiator_is_anonymous(initiator) ? "anonymous" : "user");
    } else {
        printf("failed 0 %s\n", auth_initiator_reason(initiator));
    }
    auth_initiator_free(initiator);
    return state != AUTH_COMPLETE;
}

static int accept_one(const struct auth_acceptor_config *config) {
    static uint8_t token[AUTH_TOKEN_MAX];
    struct auth_acceptor *acceptor = auth_acceptor_new(config);
    enum auth_state state = AUTH_CONTINUE;
    struct span out;
    size_t size;

    while (state == AUTH_CONTINUE && take_token(token, &size)) {
        state = auth_acceptor_step(acceptor, (struct span){token, size}, &out);
        if (state == AUTH_CONTINUE)
            put_continue(out);
    }
    if (state == AUTH_COMPLETE) {
        put_complete(out, auth_acceptor_session_key(acceptor), auth_acceptor_mechanism(acceptor));
        printf("%s %s %s\n",
               auth_acceptor_is_guest(acceptor)       ? "guest"
               : auth_acceptor_is_anonymous(acceptor) ? "anonymous"
                                                      : "user",
               auth_acceptor_user(acceptor), auth_acceptor_domain(acceptor));
    } else {
        printf("failed 0x%08x %s\n", auth_acceptor_status(acceptor),
               auth_acceptor_reason(acceptor));
    }
    auth_acceptor_free(acceptor);
    return state != AUTH_COMPLETE;
}

static double cpu_seconds(void) {
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* CPU time of the acceptor alone, over so many logons. */
static int bench(const struct auth_credentials *credentials,
                 const struct auth_acceptor_config *config, unsigned count) {
    double used = 0;

    for (unsigned i = 0; i < count; i++) {
        struct auth_initiator *initiator = auth_initiator_new(credentials);
        struct auth_acceptor *acceptor;
        enum auth_state state = AUTH_CONTINUE;
        struct span token = {0};
        double start = cpu_seconds();

        acceptor = auth_acceptor_new(config);
        used += cpu_seconds() - start;
        while (auth_initiator_step(initiator, token, &token) == AUTH_CONTINUE &&
               state == AUTH_CONTINUE) {
            start = cpu_seconds();
            state = auth_acceptor_step(acceptor, token, &token);
            used += cpu_seconds() - start;
        }
        if (state != AUTH_COMPLETE) {
            fprintf(stderr, "auth_driver: %s %s\n", auth_initiator_reason(initiator),
                    auth_acceptor_reason(acceptor));
            return 1;
        }
        start = cpu_seconds();
        auth_acceptor_free(acceptor);
        used += cpu_seconds() - start;
        auth_initiator_free(initiator);
    }
    printf("%u logons, %.1f us of CPU each, %.0f per second and core\n", count, used / count * 1e6,
           count / used);
    return 0;
}

/* A client that asks for another service than cifs/. */
static int ticket(const char *service, const char *ccache) {
    gss_key_value_element_desc element = {"ccache", ccache};
    gss_key_value_set_desc store = {1, &element};
    gss_OID krb5 = (gss_OID)(uintptr_t)gss_mech_krb5;
    gss_OID_set_desc mechanisms = {1, krb5};
    gss_buffer_desc name = {strlen(service), (void *)(uintptr_t)service}, out = GSS_C_EMPTY_BUFFER;
    gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
    gss_ctx_id_t context = GSS_C_NO_CONTEXT;
    gss_name_t target = GSS_C_NO_NAME;
    static uint8_t room[AUTH_TOKEN_MAX];
    struct writer writer = writer_over(room, sizeof room);
    struct spnego_init init = {.mechanisms = {SPNEGO_KERBEROS}, .count = 1};
    OM_uint32 minor,
        failed = gss_import_name(&minor, &name, GSS_C_NT_HOSTBASED_SERVICE, &target) ||
                 gss_acquire_cred_from(&minor, GSS_C_NO_NAME, 0, &mechanisms, GSS_C_INITIATE,
                                       &store, &credential, NULL, NULL) ||
                 GSS_ERROR(gss_init_sec_context(&minor, credential, &context, target, krb5,
                                                GSS_C_MUTUAL_FLAG, 0, NULL, NULL, NULL, &out, NULL,
                                                NULL));

    init.token = (struct span){out.value, out.length};
    if (!failed && spnego_init_encode(&init, &writer))
        put_continue(writer_done(&writer));
    gss_release_buffer(&minor, &out);
    gss_delete_sec_context(&minor, &context, NULL);
    gss_release_cred(&minor, &credential);
    gss_release_name(&minor, &target);
    return failed != 0;
}

static struct accounts *open_accounts(const char *path) {
    struct accounts *accounts = NULL;
    char problem[ACCOUNTS_PROBLEM_MAX];

    if (path != NULL && accounts_open(path, &accounts, problem) != 0) {
        fprintf(stderr, "auth_driver: %s: %s\n", path, problem);
        exit(2);
    }
    return accounts;
}

static int put_hint(const struct auth_acceptor_config *config) {
    uint8_t room[AUTH_HINT_MAX];
    struct writer writer = writer_over(room, sizeof room);

    if (!auth_hint_put(config, &writer))
        return 1;
    put_continue(writer_done(&writer));
    return 0;
}

static bool has_flag(int argc, char **argv, const char *flag) {
    for (int i = 4; i < argc; i++)
        if (strcmp(argv[i], flag) == 0)
            return true;
    return false;
}

int main(int argc, char **argv) {
    bool is_bench = argc == 9 && strcmp(argv[1], "bench") == 0,
         is_hint = argc == 4 && strcmp(argv[1], "hint") == 0;
    struct auth_acceptor_config config = {.computer = "SERVER", .dns_computer = "server.test"};
    int result;

    if (argc == 8 && strcmp(argv[1], "initiate") == 0) {
        struct auth_credentials credentials = {.method = method_of(argv[2]),
                                               .user = or_null(argv[3]),
                                               .domain = or_null(argv[4]),
                                               .password = or_null(argv[5]),
                                               .host = or_null(argv[6]),
                                               .ccache = or_null(argv[7])};

        return initiate(&credentials);
    }
    if (argc == 4 && strcmp(argv[1], "ticket") == 0)
        return ticket(argv[2], argv[3]);
    if (argc < 4 || (!is_bench && !is_hint && strcmp(argv[1], "accept") != 0)) {
        fprintf(stderr, "auth_driver: wrong usage\n");
        return 2;
    }
    config.accounts = open_accounts(or_null(argv[2]));
    config.keytab = or_null(argv[3]);
    if (is_hint) {
        result = put_hint(&config);
    } else if (is_bench) {
        struct auth_credentials credentials = {.method = method_of(argv[4]),
                                               .user = or_null(argv[5]),
                                               .password = or_null(argv[6]),
                                               .host = or_null(argv[7])};

        result = bench(&credentials, &config, (unsigned)atoi(argv[8]));
    } else {
        config.allow_anonymous = has_flag(argc, argv, "anonymous");
        config.allow_guest = has_flag(argc, argv, "guest");
        result = accept_one(&config);
    }
    accounts_close(config.accounts);
    return result;
}
