#include "client/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "wire/names.h"

const char *client_phase_name(enum client_phase phase) {
    switch (phase) {
    case CLIENT_PHASE_NEGOTIATE:
        return "NEGOTIATE";
    case CLIENT_PHASE_SESSION_SETUP:
        return "SESSION_SETUP";
    case CLIENT_PHASE_TREE_CONNECT:
        return "TREE_CONNECT";
    case CLIENT_PHASE_VALIDATE:
        return "FSCTL_VALIDATE_NEGOTIATE_INFO";
    case CLIENT_PHASE_READY:
        return "a request";
    case CLIENT_PHASE_LOGOFF:
        return "LOGOFF";
    }
    return "a request";
}

/* ---- sentences ---- */

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void put(struct text *text, const char *format, ...) {
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length >= text->left)
        length = text->left > 0 ? (int)text->left - 1 : 0;
    text->at += length;
    text->left -= (size_t)length;
}

static void put_status(struct text *text, uint32_t status) {
    const char *name = ntstatus_name(status);

    if (name != NULL)
        put(text, "%s", name);
    else
        put(text, "status 0x%08x", status);
}

/* A number as hexadecimal digits, anything longer octet by octet. */
static void put_value(struct text *text, const uint8_t *octets, size_t size) {
    uint64_t number = 0;

    if (size > sizeof number) {
        for (size_t i = 0; i < size; i++)
            put(text, "%02x", octets[i]);
        return;
    }
    for (size_t i = size; i-- > 0;)
        number = number << 8 | octets[i];
    put(text, "0x%0*llx", (int)(2 * size), (unsigned long long)number);
}

static void put_values(struct text *text, const struct session_error *error) {
    if (error->field == NULL)
        return;
    put(text, " %s", error->field);
    if (error->found_size > 0) {
        put(text, " is ");
        put_value(text, error->found, error->found_size);
    }
    if (error->expected_size > 0) {
        put(text, error->rule == RULE_RESPONSE_DIALECT ? ", offered were " : ", expected was ");
        put_value(text, error->expected, error->expected_size);
    }
    put(text, ".");
}

static void put_rule(struct text *text, const struct session_error *error) {
    const struct rule_text *rule = rule_text(error->rule);

    put(text, "In %s rule %s of [MS-SMB2] was broken: %s", client_phase_name(error->phase), rule->id, rule->sentence);
    put_values(text, error);
    if (error->status != 0) {
        put(text, " The answer's status was ");
        put_status(text, error->status);
        put(text, ".");
    }
}

static void put_end(struct text *text, const struct session_error *error, const char *what) {
    if (error->rule != RULE_NONE)
        put(text, "%s while the negotiation was being validated, so nothing proves that nobody has changed it.", what);
    else
        put(text, "%s in %s.", what, client_phase_name(error->phase));
}

void session_error_describe(struct session_error *error) {
    struct text text = {error->sentence, sizeof error->sentence};

    error->sentence[0] = 0;
    switch (error->kind) {
    case SESSION_ERROR_NONE:
        break;
    case SESSION_ERROR_ARGUMENT:
        put(&text, "That cannot be asked of a server.");
        break;
    case SESSION_ERROR_UNREACHABLE:
        put(&text, "The server cannot be reached: %s.",
            error->number == ENOENT ? "its name is not known" : strerror(error->number));
        break;
    case SESSION_ERROR_TIMED_OUT:
        put_end(&text, error, "The server did not answer in time");
        break;
    case SESSION_ERROR_STOPPED:
        put_end(&text, error, "Interrupted, and the server did not answer any more");
        break;
    case SESSION_ERROR_DISCONNECTED:
        put_end(&text, error, error->number != 0 ? strerror(error->number) : "The server closed the connection");
        break;
    case SESSION_ERROR_REFUSED:
        put(&text, "The server refused %s: ", client_phase_name(error->phase));
        put_status(&text, error->status);
        put(&text, ".");
        break;
    case SESSION_ERROR_AUTHENTICATION:
        put(&text, "The logon failed: ");
        put_status(&text, error->status);
        put(&text, ".");
        break;
    case SESSION_ERROR_PROTOCOL:
        put_rule(&text, error);
        break;
    case SESSION_ERROR_SYSTEM:
        put(&text, "This machine failed, not the server: %s.",
            error->number != 0 ? strerror(error->number) : "cryptography or randomness is not available");
        break;
    }
}

/* ---- what the client says ---- */

static enum session_error_kind kind_of_fault(const struct client_failure *failure) {
    switch (failure->fault) {
    case CLIENT_FAULT_NONE:
        return SESSION_ERROR_DISCONNECTED;
    case CLIENT_FAULT_RULE:
        return SESSION_ERROR_PROTOCOL;
    case CLIENT_FAULT_STATUS:
        return failure->phase == CLIENT_PHASE_SESSION_SETUP ? SESSION_ERROR_AUTHENTICATION : SESSION_ERROR_REFUSED;
    case CLIENT_FAULT_TOKEN:
        return SESSION_ERROR_AUTHENTICATION;
    case CLIENT_FAULT_TIMED_OUT:
        return SESSION_ERROR_TIMED_OUT;
    case CLIENT_FAULT_DISCONNECTED:
        return SESSION_ERROR_DISCONNECTED;
    case CLIENT_FAULT_CRYPTO:
        break;
    }
    return SESSION_ERROR_SYSTEM;
}

static size_t copy_value(uint8_t room[CLIENT_VALUE_MAX], struct span value) {
    if (value.size > 0)
        memcpy(room, value.data, value.size);
    return value.size;
}

void session_error_of_client(const struct client *client, int number, struct session_error *error) {
    const struct client_failure *failure = &client->failure;

    *error = (struct session_error){
        .kind = kind_of_fault(failure),
        .phase = failure->phase,
        .rule = failure->verdict.rule,
        .field = failure->field,
        .status = failure->status,
        .number = number,
        .is_security = client_failed_securely(client),
    };
    error->expected_size = copy_value(error->expected, failure->expected);
    error->found_size = copy_value(error->found, failure->found);
    session_error_describe(error);
}

/* ---- remedies ---- */

#define PATH_CHANGES                                                                                                   \
    "Something between here and the server changes packets. Let TCP port 445 between the two hosts pass through it "   \
    "untouched, or require SMB 3.1.1 and signing; if no such device is known, treat it as an attack."

static const char *remedy_of_rule(enum rule rule) {
    switch (rule) {
    case RULE_INFO_RESPONSE_CAPABILITIES:
    case RULE_INFO_RESPONSE_GUID:
    case RULE_INFO_RESPONSE_SECURITY_MODE:
    case RULE_INFO_RESPONSE_DIALECT:
    case RULE_INFO_RESPONSE_MISSING:
    case RULE_RESPONSE_DIALECT:
    case RULE_RESPONSE_SIGNATURE:
    case RULE_TRANSFORM_TAG:
        return PATH_CHANGES;
    case RULE_INFO_RESPONSE_ACCESS_DENIED:
        return "The server says that the signature of the validation is wrong. " PATH_CHANGES;
    case RULE_SESSION_RESPONSE_UNSIGNED:
        return "The server does not sign the end of a logon as it must, or somebody on the way took the signature off. "
               "Try --sign=required, with which the Linux kernel's server signs it on SMB 2.1 too, or offer SMB 3.1.1; "
               "else bring the server to a newer release.";
    case RULE_INFO_RESPONSE_UNPROTECTED:
    case RULE_RESPONSE_UNSIGNED:
        return "The server, or a device that speaks in its place, does not sign what it must. Bring it to a newer "
               "release, or require signing on the server; capture both ends and run smbproof explain to see which.";
    case RULE_INFO_RESPONSE_UNSUPPORTED_3X:
        return "The server speaks SMB 3 but does not validate as it must. Bring it to a newer release; until then an "
               "exception for this host alone can be set, with signing required.";
    case RULE_INFO_RESPONSE_STATUS:
        return "The server refuses the validation with an error that may mean a difference. Bring it to a newer "
               "release; if it always answers so, an exception for this host alone can be set, with signing required.";
    case RULE_INFO_RESPONSE_LENGTH:
        return "The server's answer to the validation has a wrong size. Bring it to a newer release.";
    case RULE_SESSION_GUEST:
        return "The server does not know this user and let a guest in instead. Check the user's name; nothing protects "
               "a guest's session, so allow it only where that does not matter.";
    case RULE_ENCRYPTION_UNAVAILABLE:
        return "Encryption is demanded and the other side has none. Enable SMB 3 encryption on the server, or do not "
               "require it.";
    case RULE_SMB1_MESSAGE:
        return "The server answers with SMB1, which this program does not speak. Enable SMB2 or later on the server.";
    case RULE_RESPONSE_SIZES:
        return "The server offers smaller buffers than it should. Bring it to a newer release.";
    default:
        return "The server does not follow the protocol, or something on the way garbles it. Capture both ends and run "
               "smbproof explain on the captures.";
    }
}

static const char *remedy_of_status(uint32_t status) {
    switch (status) {
    case STATUS_LOGON_FAILURE:
    case STATUS_WRONG_PASSWORD:
    case STATUS_NO_SUCH_USER:
        return "Check the user's name, the domain and the password.";
    case STATUS_PASSWORD_EXPIRED:
    case STATUS_PASSWORD_MUST_CHANGE:
        return "Change the password, by other means than this program, then try again.";
    case STATUS_ACCOUNT_DISABLED:
    case STATUS_ACCOUNT_LOCKED_OUT:
    case STATUS_ACCOUNT_EXPIRED:
    case STATUS_ACCOUNT_RESTRICTION:
        return "Ask the server's administrator to enable or unlock the account.";
    case STATUS_BAD_NETWORK_NAME:
        return "Check the share's name; smbproof shares lists those that there are.";
    case STATUS_ACCESS_DENIED:
        return "The user has no right to this, or the server demands signing, encryption or another dialect.";
    case STATUS_NOT_SUPPORTED:
        return "The server speaks none of the dialects that were offered; offer more of them.";
    default:
        return "The server's log should say why.";
    }
}

const char *session_error_remedy(const struct session_error *error) {
    switch (error->kind) {
    case SESSION_ERROR_UNREACHABLE:
        return "Check the server's name and port, that it runs, and that no firewall is between.";
    case SESSION_ERROR_TIMED_OUT:
    case SESSION_ERROR_DISCONNECTED:
    case SESSION_ERROR_PROTOCOL:
        if (error->phase == CLIENT_PHASE_TREE_CONNECT &&
            (error->rule == RULE_RESPONSE_SIGNATURE || error->rule == RULE_TRANSFORM_TAG))
            return "Check the share's name first: the Linux kernel's server signs, and encrypts, its refusal of a "
                   "share "
                   "that is not there wrongly. If the name is right: " PATH_CHANGES;
        if (error->rule != RULE_NONE)
            return remedy_of_rule(error->rule);
        return error->is_security ? "Look whether something between here and the server changes packets: capture both "
                                    "ends and run smbproof explain on the captures."
                                  : "Try again; where it repeats, look at the server's log and at the network.";
    case SESSION_ERROR_AUTHENTICATION:
        if (error->number == ENOKEY)
            return "Get a ticket for this user with kinit, name the server as its ticket does, or log on with a password: "
                   "--auth=ntlm.";
        return remedy_of_status(error->status);
    case SESSION_ERROR_REFUSED:
        return remedy_of_status(error->status);
    case SESSION_ERROR_ARGUMENT:
        return "Check the names that were given.";
    default:
        return "Look at the memory and the cryptographic policy of this machine.";
    }
}
