#include "tools/equivalents.h"

#include <assert.h>
#include <string.h>

#include "wire/messages.h"
#include "wire/names.h"

/* Values of the choices, as in options.c. */
enum { SWITCH_OFF, SWITCH_ON };
enum { VALIDATE_ERROR_REFUSE, VALIDATE_ERROR_ACCEPT };
enum { SIGN_ALLOWED, SIGN_REQUIRED };
enum { ENCRYPT_OFF, ENCRYPT_ALLOWED, ENCRYPT_REQUIRED };
enum { AUTH_ANY, AUTH_NTLM, AUTH_KERBEROS, AUTH_ANONYMOUS, AUTH_GUEST };
#define ANY_NUMBER UINT32_MAX

struct equivalent {
    enum option_id id;
    unsigned number;
    const char *texts[EQUIVALENT_SYSTEMS];
};

static const struct equivalent table[] = {
#define EQUIVALENT(id, number, registry, powershell, samba, linux_, macos)                                             \
    {id, number, {registry, powershell, samba, linux_, macos}},
#include "tools/equivalents.def"
#undef EQUIVALENT
};

const char *equivalent_system_name(enum equivalent_system system) {
    static const char *const names[] = {"registry", "PowerShell", "Samba", "mount.cifs", "nsmb.conf"};

    assert(system < EQUIVALENT_SYSTEMS);
    return names[system];
}

const char *equivalent_system_id(enum equivalent_system system) {
    static const char *const ids[] = {"windows_registry", "windows_powershell", "samba", "mount_cifs",
                                      "macos_nsmb_conf"};

    assert(system < EQUIVALENT_SYSTEMS);
    return ids[system];
}

/* Puts the value in place of the `#', where there is one. */
static void put(char text[EQUIVALENT_TEXT_MAX], const char *from, const char *value) {
    size_t before = strcspn(from, "#");

    if (from[before] == '\0')
        snprintf(text, EQUIVALENT_TEXT_MAX, "%s", from);
    else
        snprintf(text, EQUIVALENT_TEXT_MAX, "%.*s%.32s%s", (int)before, from, value, from + before + 1);
}

/* The dialects have no line in the table: elsewhere they are a range, a bitmap or one of a few words. */

/* "SMB302", as PowerShell names it. */
static const char *powershell_dialect(uint16_t dialect) {
    return dialect == SMB2_DIALECT_202   ? "SMB202"
           : dialect == SMB2_DIALECT_210 ? "SMB210"
           : dialect == SMB2_DIALECT_300 ? "SMB300"
           : dialect == SMB2_DIALECT_302 ? "SMB302"
                                         : "SMB311";
}

static const char *samba_dialect(uint16_t dialect) {
    return dialect == SMB2_DIALECT_202   ? "SMB2_02"
           : dialect == SMB2_DIALECT_210 ? "SMB2_10"
           : dialect == SMB2_DIALECT_300 ? "SMB3_00"
           : dialect == SMB2_DIALECT_302 ? "SMB3_02"
                                         : "SMB3_11";
}

static const char *cifs_vers(const struct id_list *list) {
    static const struct {
        struct id_list list;
        const char *vers;
    } known[] = {
        {{{SMB2_DIALECT_202}, 1}, "vers=2.0"},
        {{{SMB2_DIALECT_210}, 1}, "vers=2.1"},
        {{{SMB2_DIALECT_300}, 1}, "vers=3.0"},
        {{{SMB2_DIALECT_302}, 1}, "vers=3.0.2"},
        {{{SMB2_DIALECT_311}, 1}, "vers=3.1.1"},
        {{{SMB2_DIALECT_300, SMB2_DIALECT_302, SMB2_DIALECT_311}, 3}, "vers=3"},
        {{{SMB2_DIALECT_210, SMB2_DIALECT_300, SMB2_DIALECT_302, SMB2_DIALECT_311}, 4}, "vers=default"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].list.count == list->count &&
            memcmp(known[i].list.ids, list->ids, list->count * sizeof list->ids[0]) == 0)
            return known[i].vers;
    return "vers= has no word for these; its default is 2.1, 3.0, 3.0.2 and 3.1.1";
}

/* protocol_vers_map: 1 SMB 1, 2 SMB 2, 4 SMB 3. */
static unsigned nsmb_map(const struct id_list *list) {
    unsigned map = 0;

    for (unsigned i = 0; i < list->count; i++)
        map |= dialect_is_3x(list->ids[i]) ? 4u : 2u;
    return map;
}

static void fill_dialects(const struct id_list *list, struct equivalents *equivalents) {
    uint16_t least = list->ids[0], most = list->ids[list->count - 1];

    snprintf(equivalents->texts[EQUIVALENT_REGISTRY], EQUIVALENT_TEXT_MAX,
             "HKLM\\SYSTEM\\CurrentControlSet\\Services\\LanmanWorkstation\\Parameters\\MinSmb2Dialect = 0x%03x, "
             "MaxSmb2Dialect = "
             "0x%03x (REG_DWORD; Windows 11 24H2, Server 2025)",
             least, most);
    snprintf(equivalents->texts[EQUIVALENT_POWERSHELL], EQUIVALENT_TEXT_MAX,
             "Set-SmbClientConfiguration -Smb2DialectMin %s -Smb2DialectMax %s (Windows 11 24H2, Server 2025)",
             powershell_dialect(least), powershell_dialect(most));
    snprintf(equivalents->texts[EQUIVALENT_SAMBA], EQUIVALENT_TEXT_MAX,
             "client min protocol = %s, client max protocol = %s", samba_dialect(least), samba_dialect(most));
    snprintf(equivalents->texts[EQUIVALENT_LINUX], EQUIVALENT_TEXT_MAX, "%s", cifs_vers(list));
    snprintf(equivalents->texts[EQUIVALENT_MACOS], EQUIVALENT_TEXT_MAX, "protocol_vers_map=%u", nsmb_map(list));
}

bool equivalents_find(const struct settings *settings, enum option_id id, struct equivalents *equivalents) {
    const struct option_value *value = &settings->values[id];

    if (id == OPTION_DIALECTS) {
        fill_dialects(&value->dialects, equivalents);
        return true;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].id != id || (table[i].number != ANY_NUMBER && table[i].number != value->number))
            continue;
        for (unsigned system = 0; system < EQUIVALENT_SYSTEMS; system++)
            put(equivalents->texts[system], table[i].texts[system], value->text);
        return true;
    }
    return false;
}
