#include "auth/kerberos.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>

#include "crypto/crypto.h"
#include "wire/messages.h"
#include "wire/text.h"

#define FLAGS                                                                                      \
    ((OM_uint32)(GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG))
#define DETAIL_MAX 160u /* octets of the library's own words */

struct kerberos {
    struct mechanism mechanism;
    const struct auth_credentials *credentials; /* of an initiator */
    const struct auth_acceptor_config *config;  /* of an acceptor */
    gss_cred_id_t credential;
    gss_ctx_id_t context;
    gss_name_t target;
    gss_buffer_desc token; /* what was given out last */
    bool complete;
};

static gss_OID krb5_mechanism(void) {
    /* The library only reads it. */
    return (gss_OID)(uintptr_t)gss_mech_krb5;
}

static gss_buffer_desc buffer_of(struct span bytes) {
    return (gss_buffer_desc){bytes.size, (void *)(uintptr_t)bytes.data};
}

static void kerberos_free(struct mechanism *mechanism) {
    struct kerberos *kerberos = (struct kerberos *)mechanism;
    OM_uint32 minor;

    gss_delete_sec_context(&minor, &kerberos->context, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &kerberos->credential);
    gss_release_name(&minor, &kerberos->target);
    gss_release_buffer(&minor, &kerberos->token);
    free(kerberos);
}

/* The last word of the library about a failure: the mechanism's, where it has one. */
static void put_detail(OM_uint32 major, OM_uint32 code, char detail[DETAIL_MAX]) {
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, more = 0;

    if (code != 0)
        gss_display_status(&minor, code, GSS_C_MECH_CODE, krb5_mechanism(), &more, &text);
    else
        gss_display_status(&minor, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &text);
    snprintf(detail, DETAIL_MAX, "%.*s", (int)text.length, text.value ? (char *)text.value : "");
    gss_release_buffer(&minor, &text);
}

static enum auth_state kerberos_fail(struct kerberos *kerberos, OM_uint32 major, OM_uint32 code,
                                     const char *what) {
    char detail[DETAIL_MAX], reason[MECHANISM_REASON_MAX];

    put_detail(major, code, detail);
    snprintf(reason, sizeof reason, "Kerberos: %s: %s", what, detail);
    return mechanism_fail(&kerberos->mechanism, STATUS_LOGON_FAILURE, reason);
}

/* ---- both roles, once the context stands ---- */

static bool take_key(struct kerberos *kerberos) {
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    struct mechanism *mechanism = &kerberos->mechanism;
    OM_uint32 minor, major = gss_inquire_sec_context_by_oid(&minor, kerberos->context,
                                                            GSS_C_INQ_SSPI_SESSION_KEY, &set);
    bool good = !GSS_ERROR(major) && set->count > 0 && set->elements[0].length > 0 &&
                set->elements[0].length <= sizeof mechanism->key;

    if (good) {
        mechanism->key_size = set->elements[0].length;
        memcpy(mechanism->key, set->elements[0].value, mechanism->key_size);
    }
    if (set != GSS_C_NO_BUFFER_SET && set->count > 0)
        crypto_wipe(set->elements[0].value, set->elements[0].length);
    gss_release_buffer_set(&minor, &set);
    return good;
}

static bool kerberos_sign(struct mechanism *mechanism, struct span message, struct writer *mic) {
    struct kerberos *kerberos = (struct kerberos *)mechanism;
    gss_buffer_desc in = buffer_of(message), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, major;

    if (!kerberos->complete)
        return false;
    major = gss_get_mic(&minor, kerberos->context, GSS_C_QOP_DEFAULT, &in, &out);
    if (!GSS_ERROR(major))
        writer_put(mic, (struct span){out.value, out.length});
    gss_release_buffer(&minor, &out);
    return !GSS_ERROR(major) && !mic->failed;
}

static bool kerberos_verify(struct mechanism *mechanism, struct span message, struct span mic) {
    struct kerberos *kerberos = (struct kerberos *)mechanism;
    gss_buffer_desc in = buffer_of(message), token = buffer_of(mic);
    OM_uint32 minor;

    return kerberos->complete && mic.size > 0 &&
           gss_verify_mic(&minor, kerberos->context, &in, &token, NULL) == GSS_S_COMPLETE;
}

/* ---- initiator ---- */

/* A name of the library's, from two strings with `between` between them where both are there. */
static bool import_name(const char *first, const char *between, const char *second, gss_OID type,
                        gss_name_t *name) {
    char text[2 * AUTH_NAME_MAX];
    bool both = second != NULL && second[0] != '\0';
    int size =
        snprintf(text, sizeof text, "%s%s%s", first, both ? between : "", both ? second : "");
    gss_buffer_desc buffer = {(size_t)size, text};
    OM_uint32 minor;

    return size > 0 && (size_t)size < sizeof text &&
           !GSS_ERROR(gss_import_name(&minor, &buffer, type, name));
}

/* A ticket of somebody else in the cache is not the user's, where one was named. */
static enum auth_state acquire_initiator(struct kerberos *kerberos) {
    const struct auth_credentials *credentials = kerberos->credentials;
    gss_key_value_element_desc element = {"ccache", credentials->ccache};
    gss_key_value_set_desc store = {1, &element};
    gss_OID_set_desc mechanisms = {1, krb5_mechanism()};
    gss_name_t user = GSS_C_NO_NAME;
    OM_uint32 minor, major, ignored;

    if (credentials->user != NULL && credentials->user[0] != '\0' && !credentials->user_is_presumed &&
        !import_name(credentials->user, "@", credentials->domain, GSS_C_NT_USER_NAME, &user))
        return mechanism_fail(&kerberos->mechanism, STATUS_INVALID_PARAMETER,
                              "Kerberos: the user's name cannot be one of a principal");
    major = gss_acquire_cred_from(&minor, user, GSS_C_INDEFINITE, &mechanisms, GSS_C_INITIATE,
                                  credentials->ccache != NULL ? &store : GSS_C_NO_CRED_STORE,
                                  &kerberos->credential, NULL, NULL);
    gss_release_name(&ignored, &user);
    if (GSS_ERROR(major))
        return kerberos_fail(kerberos, major, minor, "no ticket in the cache");
    return AUTH_CONTINUE;
}

static enum auth_state initiator_begin(struct kerberos *kerberos) {
    const char *host = kerberos->credentials->host;

    if (host == NULL || host[0] == '\0' ||
        !import_name("cifs", "@", host, GSS_C_NT_HOSTBASED_SERVICE, &kerberos->target))
        return mechanism_fail(&kerberos->mechanism, STATUS_INVALID_PARAMETER,
                              "Kerberos: the server's name is not known");
    return acquire_initiator(kerberos);
}

static enum auth_state kerberos_complete(struct kerberos *kerberos) {
    kerberos->complete = true;
    if (!take_key(kerberos))
        return mechanism_fail(&kerberos->mechanism, STATUS_LOGON_FAILURE,
                              "Kerberos: there is no session key");
    return AUTH_COMPLETE;
}

static enum auth_state initiator_step(struct mechanism *mechanism, struct span token,
                                      struct span *out) {
    struct kerberos *kerberos = (struct kerberos *)mechanism;
    gss_buffer_desc in = buffer_of(token);
    OM_uint32 major, minor, got = 0;

    if (kerberos->target == GSS_C_NO_NAME && initiator_begin(kerberos) == AUTH_FAILED)
        return AUTH_FAILED;
    gss_release_buffer(&minor, &kerberos->token);
    major = gss_init_sec_context(&minor, kerberos->credential, &kerberos->context, kerberos->target,
                                 krb5_mechanism(), FLAGS, 0, GSS_C_NO_CHANNEL_BINDINGS, &in, NULL,
                                 &kerberos->token, &got, NULL);
    if (GSS_ERROR(major))
        return kerberos_fail(kerberos, major, minor, "no connection as this user");
    *out = (struct span){kerberos->token.value, kerberos->token.length};
    if (major & GSS_S_CONTINUE_NEEDED)
        return AUTH_CONTINUE;
    if ((got & FLAGS) != FLAGS)
        return mechanism_fail(mechanism, STATUS_LOGON_FAILURE,
                              "Kerberos: the server did not prove itself");
    return kerberos_complete(kerberos);
}

struct mechanism *kerberos_initiator_new(const struct auth_credentials *credentials) {
    static const struct mechanism_methods methods = {"Kerberos", kerberos_free, initiator_step,
                                                     kerberos_sign, kerberos_verify};
    struct kerberos *kerberos = calloc(1, sizeof *kerberos);

    if (kerberos == NULL)
        return NULL;
    kerberos->mechanism.methods = &methods;
    kerberos->credentials = credentials;
    return &kerberos->mechanism;
}

/* ---- acceptor ---- */

/* For whatever principal of the keytab: the name that a client used is looked at afterwards. */
static enum auth_state acquire_acceptor(struct kerberos *kerberos) {
    gss_key_value_element_desc element = {"keytab", kerberos->config->keytab};
    gss_key_value_set_desc store = {1, &element};
    gss_OID_set_desc mechanisms = {1, krb5_mechanism()};
    OM_uint32 minor, major;

    major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechanisms,
                                  GSS_C_ACCEPT, &store, &kerberos->credential, NULL, NULL);
    if (GSS_ERROR(major))
        return kerberos_fail(kerberos, major, minor, "the keytab cannot be used");
    return AUTH_CONTINUE;
}

static bool display_name(gss_name_t name, gss_buffer_desc *text) {
    OM_uint32 minor;

    *text = (gss_buffer_desc)GSS_C_EMPTY_BUFFER;
    return !GSS_ERROR(gss_display_name(&minor, name, text, NULL));
}

/* "cifs/server@REALM": a ticket for another service of this host is no ticket for this one. */
static bool is_service(gss_name_t target) {
    gss_buffer_desc text;
    OM_uint32 minor;
    bool good =
        display_name(target, &text) && ((text.length > 5 && memcmp(text.value, "cifs/", 5) == 0) ||
                                        (text.length > 5 && memcmp(text.value, "host/", 5) == 0));

    gss_release_buffer(&minor, &text);
    return good;
}

/* "alice@REALM": what stands behind the last @. Empty where there is none. */
static struct span realm_of(const gss_buffer_desc *text) {
    struct span whole = {text->value, text->length};
    const uint8_t *at = whole.size > 0 ? memrchr(whole.data, '@', whole.size) : NULL;

    return at != NULL ? span_slice(whole, (size_t)(at - whole.data) + 1, whole.size) : (struct span){NULL, 0};
}

/* Who is of another realm than the service keeps his whole name, so that he is none of its own. */
static bool take_name(struct mechanism *mechanism, const gss_buffer_desc *user, const gss_buffer_desc *target) {
    struct span whole = {user->value, user->length}, realm = realm_of(user);
    size_t size = span_equal(realm, realm_of(target)) ? whole.size - realm.size - 1 : whole.size;

    return realm.size > 0 && auth_name_set(mechanism->user, span_slice(whole, 0, size)) &&
           auth_name_set(mechanism->domain, realm);
}

static bool take_user(struct mechanism *mechanism, gss_name_t user, gss_name_t target) {
    gss_buffer_desc user_text, target_text;
    OM_uint32 minor;
    bool has_user = display_name(user, &user_text), has_target = display_name(target, &target_text);
    bool good = has_user && has_target && take_name(mechanism, &user_text, &target_text);

    gss_release_buffer(&minor, &user_text);
    gss_release_buffer(&minor, &target_text);
    return good;
}

static enum auth_state acceptor_finish(struct kerberos *kerberos) {
    gss_name_t user = GSS_C_NO_NAME, target = GSS_C_NO_NAME;
    OM_uint32 minor, ignored,
        major = gss_inquire_context(&minor, kerberos->context, &user, &target, NULL, NULL, NULL,
                                    NULL, NULL);
    bool named = !GSS_ERROR(major) && take_user(&kerberos->mechanism, user, target),
         meant = !GSS_ERROR(major) && is_service(target);

    gss_release_name(&ignored, &user);
    gss_release_name(&ignored, &target);
    if (!named)
        return kerberos_fail(kerberos, major, minor, "the client has no usable name");
    if (!meant)
        return mechanism_fail(&kerberos->mechanism, STATUS_LOGON_FAILURE,
                              "Kerberos: the ticket is neither for cifs/ nor for host/");
    return kerberos_complete(kerberos);
}

static enum auth_state acceptor_step(struct mechanism *mechanism, struct span token,
                                     struct span *out) {
    struct kerberos *kerberos = (struct kerberos *)mechanism;
    gss_buffer_desc in = buffer_of(token);
    OM_uint32 major, minor, got = 0, left_s = GSS_C_INDEFINITE;

    if (kerberos->credential == GSS_C_NO_CREDENTIAL && acquire_acceptor(kerberos) == AUTH_FAILED)
        return AUTH_FAILED;
    gss_release_buffer(&minor, &kerberos->token);
    major = gss_accept_sec_context(&minor, &kerberos->context, kerberos->credential, &in,
                                   GSS_C_NO_CHANNEL_BINDINGS, NULL, NULL, &kerberos->token, &got,
                                   &left_s, NULL);
    if (GSS_ERROR(major))
        return kerberos_fail(kerberos, major, minor, "the ticket is refused");
    if (left_s != GSS_C_INDEFINITE)
        mechanism->lifetime_s = left_s > 0 ? left_s : 1;
    if (got & GSS_C_ANON_FLAG)
        return mechanism_fail(mechanism, STATUS_LOGON_FAILURE,
                              "Kerberos: the ticket does not say whose it is");
    *out = (struct span){kerberos->token.value, kerberos->token.length};
    return major & GSS_S_CONTINUE_NEEDED ? AUTH_CONTINUE : acceptor_finish(kerberos);
}

struct mechanism *kerberos_acceptor_new(const struct auth_acceptor_config *config) {
    static const struct mechanism_methods methods = {"Kerberos", kerberos_free, acceptor_step,
                                                     kerberos_sign, kerberos_verify};
    struct kerberos *kerberos = calloc(1, sizeof *kerberos);

    if (kerberos == NULL)
        return NULL;
    kerberos->mechanism.methods = &methods;
    kerberos->config = config;
    return &kerberos->mechanism;
}
