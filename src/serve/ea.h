/* Extended attributes on the wire: FILE_FULL_EA_INFORMATION ([MS-FSCC] 2.4.16) and FILE_GET_EA_INFORMATION (2.4.16.1). */
#ifndef SMBPROOF_SERVE_EA_H
#define SMBPROOF_SERVE_EA_H

#include "serve/work.h"

/* Octets of a name with the NUL. */
#define EA_NAME_MAX 256u
/* What an attribute adds to EaSize, beside name and value. */
#define EA_HEAD_SIZE 5u
/* What EaSize counts for a list that is not empty. */
#define EA_LIST_SIZE 4u

struct ea {
    uint8_t flags;
    char name[EA_NAME_MAX];
    struct span value;
};

/* An entry of a list; false: it is malformed, or has no name that could be kept. */
bool ea_decode(struct span entry, struct ea *ea);
/* An NTSTATUS: is the whole list well-formed? */
uint32_t ea_list_check(struct span list);
/* Sets them one after the other, and goes on with `then`, where work->op.result is the outcome. */
void ea_list_set(struct work *work, struct span list, void (*then)(struct work *work));
/* QUERY_INFO of FileFullEaInformation. */
void ea_query(struct work *work, const struct query_info_request *request);

#endif
