/* The shares of a server: NetrShareEnum at level 1 over the pipe srvsvc of IPC$ ([MS-SRVS] 3.1.4.8). */
#ifndef SMBPROOF_CLIENT_SHARES_H
#define SMBPROOF_CLIENT_SHARES_H

#include "client/session.h"
#include "wire/rpc.h"

/* Octets of all fragments of the answer together; a server with more shares is refused. */
#define SHARES_ANSWER_MAX 4194304u

struct share_list_entry {
    char *name, *comment; /* UTF-8 */
    uint32_t kind;        /* as in struct share_info */
};

struct share_list {
    struct share_list_entry *shares;
    size_t count;
};

/* Connects IPC$ for it. False: `error` says why, and there is nothing to free. */
bool shares_list(struct session *session, const char *host, struct share_list *list, struct session_error *error);
void shares_free(struct share_list *list);

#endif
