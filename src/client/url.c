#include "client/url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "wire/text.h"

#define SCHEME "smb://"

bool url_is(const char *text) {
    return strncasecmp(text, SCHEME, strlen(SCHEME)) == 0 || strncmp(text, "\\\\", 2) == 0;
}

static bool complain(char *complaint, const char *why) {
    snprintf(complaint, URL_COMPLAINT_MAX, "%s", why);
    return false;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* UTF-8 without control characters, which no name may have and no terminal should see. */
static bool is_text(const char *text) {
    struct reader reader = reader_over((struct span){(const uint8_t *)text, strlen(text)});

    while (reader_left(&reader) > 0) {
        uint32_t code = text_take_utf8(&reader);

        if (reader.failed || code < 0x20 || (code >= 0x7f && code < 0xa0))
            return false;
    }
    return true;
}

/* Copies `size` octets of a part, decoded where that is asked for. False where it does not fit, %XX is broken, or what
 * comes out is no text. */
static bool take_part(const char *from, size_t size, bool decode, char *to, size_t room) {
    size_t at = 0;

    for (size_t i = 0; i < size; i++) {
        char c = from[i];

        if (decode && c == '%') {
            bool whole = size - i > 2;
            int high = whole ? hex_digit(from[i + 1]) : -1, low = whole ? hex_digit(from[i + 2]) : -1;

            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (at + 1 >= room)
            return false;
        to[at++] = c;
    }
    to[at] = '\0';
    return is_text(to);
}

/* host, host:port, [v6], [v6]:port */
static bool take_host(const char *from, size_t size, bool decode, struct url *url) {
    const char *end = from + size, *close = size > 0 && from[0] == '[' ? memchr(from, ']', size) : NULL;
    const char *colon = close != NULL ? close + 1 : memchr(from, ':', size);
    unsigned port = 0;

    if (colon == NULL)
        colon = end;
    if (colon < end && (*colon != ':' || colon + 1 == end))
        return false;
    for (const char *c = colon + 1; c < end; c++) {
        if (*c < '0' || *c > '9' || (port = port * 10 + (unsigned)(*c - '0')) > UINT16_MAX)
            return false;
    }
    if (colon < end && port == 0)
        return false;
    url->port = (uint16_t)port;
    if (close != NULL)
        return take_part(from + 1, (size_t)(close - from) - 1, decode, url->host, sizeof url->host) &&
               strchr(url->host, ':') != NULL;
    return take_part(from, (size_t)(colon - from), decode, url->host, sizeof url->host) && url->host[0] != '\0';
}

static bool take_user(const char *from, size_t size, struct url *url, char *complaint) {
    const char *semicolon = memchr(from, ';', size);
    size_t before = semicolon == NULL ? 0 : (size_t)(semicolon - from);

    if (memchr(from, ':', size) != NULL)
        return complain(complaint, "a password does not belong in a URL, where others can see it: leave it out to be "
                                   "asked for it, or use --password-file or SMBPROOF_PASSWORD");
    if (semicolon != NULL && !take_part(from, before, true, url->domain, sizeof url->domain))
        return complain(complaint, "the domain is malformed or too long");
    if (semicolon != NULL)
        before++;
    if (!take_part(from + before, size - before, true, url->user, sizeof url->user))
        return complain(complaint, "the user's name is malformed or too long");
    return true;
}

static bool add_part(struct url *url, const char *part, char *complaint) {
    char joined[URL_PATH_MAX];

    if (strcmp(part, ".") == 0)
        return true;
    if (strcmp(part, "..") == 0)
        return complain(complaint, "a path begins at the share, so `..' leads nowhere: write where it leads");
    if (strpbrk(part, "/\\") != NULL)
        return complain(complaint, "a name on a share has no slash or backslash in it");
    if (!url_join(url->path, part, joined))
        return complain(complaint, "the path is too long");
    memcpy(url->path, joined, strlen(joined) + 1);
    return true;
}

/* The share and what follows; `separators` are those of the form. */
static bool take_path(const char *from, const char *separators, bool decode, struct url *url, char *complaint) {
    char part[URL_NAME_MAX * 4];
    bool is_share = true;

    while (*from != '\0') {
        size_t size = strcspn(from, separators);

        if (!take_part(from, size, decode, part, sizeof part))
            return complain(complaint, "the path has a broken %XX, a control character, octets that are no UTF-8, or a "
                                       "name that is too long");
        if (size > 0 && is_share && (strlen(part) >= sizeof url->share || strpbrk(part, "/\\") != NULL))
            return complain(complaint, "the share's name is malformed or too long");
        if (size > 0 && is_share)
            memcpy(url->share, part, strlen(part) + 1);
        else if (size > 0 && !add_part(url, part, complaint))
            return false;
        is_share = is_share && size == 0;
        from += size;
        url->is_folder = *from != '\0';
        from += *from != '\0';
    }
    return true;
}

static bool parse_unc(const char *text, struct url *url, char *complaint) {
    size_t size = strcspn(text, "\\/");

    if (!take_host(text, size, false, url))
        return complain(complaint, "the host is missing or malformed: \\\\host\\share\\path is what is needed");
    return take_path(text + size, "\\/", false, url, complaint);
}

bool url_parse(const char *text, struct url *url, char complaint[URL_COMPLAINT_MAX]) {
    const char *at;
    size_t size;

    memset(url, 0, sizeof *url);
    if (strncmp(text, "\\\\", 2) == 0)
        return parse_unc(text + 2, url, complaint);
    if (!url_is(text))
        return complain(complaint, "this is neither smb://user@host/share/path nor \\\\host\\share\\path");
    text += strlen(SCHEME);
    size = strcspn(text, "/");
    at = memrchr(text, '@', size);
    if (at != NULL && !take_user(text, (size_t)(at - text), url, complaint))
        return false;
    at = at == NULL ? text : at + 1;
    if (!take_host(at, size - (size_t)(at - text), true, url))
        return complain(complaint,
                        "the host is missing or malformed: smb://[domain;]user@host[:port]/share/path is what "
                        "is needed, with an IPv6 address in brackets");
    return take_path(text + size, "/", true, url, complaint);
}

const char *url_last(const char *path) {
    const char *separator = strrchr(path, '\\');

    return separator == NULL ? path : separator + 1;
}

bool url_join(const char *path, const char *part, char joined[URL_PATH_MAX]) {
    int size = snprintf(joined, URL_PATH_MAX, "%s%s%s", path, path[0] != '\0' ? "\\" : "", part);

    return size >= 0 && (size_t)size < URL_PATH_MAX;
}

void url_parent(const char *path, char parent[URL_PATH_MAX]) {
    const char *last = url_last(path);

    snprintf(parent, URL_PATH_MAX, "%.*s", last == path ? 0 : (int)(last - path - 1), path);
}
