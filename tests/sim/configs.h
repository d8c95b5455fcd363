/* For tests: the configurations that are put to the test, by name. In each both ends implement more than is agreed, as
 * far as that is possible, so that there is something to be talked down to. */
#ifndef SMBPROOF_TESTS_CONFIGS_H
#define SMBPROOF_TESTS_CONFIGS_H

#include "world.h"

enum config_protection { CONFIG_PLAIN, CONFIG_SIGNED, CONFIG_ENCRYPTED };

struct config {
    const char *name;
    uint16_t dialect; /* that is agreed */
    bool old_server;  /* it implements no 3.x, and so no validation */
    bool smb1;        /* the client begins with SMB1 */
    enum config_protection protection;
    uint16_t signing, cipher; /* 3.1.1 */
};

extern const struct config configs[];
extern const unsigned configs_count;

const struct config *config_find(const char *name);
void config_apply(const struct config *config, struct world *world);

#endif
