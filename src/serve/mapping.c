#include "serve/mapping.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "auth/accounts_line.h"
#include "store/identity.h"
#include "wire/text.h"

static struct span trimmed(struct span text) {
    while (text.size > 0 && text.data[0] == ' ')
        text = span_slice(text, 1, text.size);
    while (text.size > 0 && text.data[text.size - 1] == ' ')
        text.size--;
    return text;
}

/* Up to the octet, which is passed over. */
static struct span until(struct span *text, char octet) {
    const uint8_t *at = text->size > 0 ? memchr(text->data, octet, text->size) : NULL;
    size_t size = at != NULL ? (size_t)(at - text->data) : text->size;
    struct span before = span_slice(*text, 0, size);

    *text = span_slice(*text, at != NULL ? size + 1 : size, text->size);
    return trimmed(before);
}

bool mapping_next(struct span *text, struct mapping_part *part) {
    const struct span star = text_span("*");
    struct span one = until(text, ',');

    *part = (struct mapping_part){.account = until(&one, '='), .user = trimmed(one)};
    part->is_same = span_equal(part->account, star) && span_equal(part->user, star);
    part->is_rest = span_equal(part->account, star) && !part->is_same;
    return part->account.size > 0 && part->user.size > 0;
}

const char *mapping_wrong(const char *mapping) {
    struct span text = text_span(mapping);
    struct mapping_part part;

    while (text.size > 0) {
        if (!mapping_next(&text, &part))
            return "say ACCOUNT=USER, *=* or *=USER";
        if (part.user.size >= MAPPING_USER_MAX || memchr(part.user.data, '=', part.user.size) != NULL ||
            (span_equal(part.user, text_span("*")) && !part.is_same))
            return "the right side is the name of a user of this system, or * behind *";
    }
    return NULL;
}

static bool same_account(struct span account, const char *name) {
    return name != NULL && account_name_equal(account, text_span(name));
}

bool mapping_has_rest(const char *mapping) {
    struct span text = text_span(mapping);
    struct mapping_part part;

    while (text.size > 0 && mapping_next(&text, &part))
        if (part.is_rest)
            return true;
    return false;
}

static int user_identity(struct span user, struct identity **identity) {
    char name[MAPPING_USER_MAX];

    snprintf(name, sizeof name, "%.*s", (int)user.size, (const char *)user.data);
    return identity_new(name, identity);
}

/* Its own name is a user's, who is not root. */
static int same_identity(const char *account, struct identity **identity) {
    int result = identity_new(account, identity);

    if (result == 0 && (*identity)->user == 0) {
        identity_release(*identity);
        *identity = NULL;
    }
    return result == -ENOENT ? 0 : result;
}

int mapping_identity(const char *mapping, const char *account, struct identity **identity) {
    struct span text = text_span(mapping != NULL ? mapping : "");
    struct mapping_part part, rest = {0};
    bool has_same = false;
    int result = 0;

    *identity = NULL;
    while (text.size > 0 && mapping_next(&text, &part)) {
        if (!part.is_same && !part.is_rest && same_account(part.account, account))
            return user_identity(part.user, identity);
        has_same |= part.is_same;
        if (part.is_rest && rest.user.size == 0)
            rest = part;
    }
    if (has_same && account != NULL)
        result = same_identity(account, identity);
    if (result == 0 && *identity == NULL && rest.user.size > 0)
        result = user_identity(rest.user, identity);
    return result;
}
