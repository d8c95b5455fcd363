/* What the control codes share. */
#ifndef SMBPROOF_SERVE_CONTROL_H
#define SMBPROOF_SERVE_CONTROL_H

#include "serve/work.h"

/* [MS-SMB2] 2.2.31 and [MS-FSCC] 2.3. */
enum control_code {
    FSCTL_DFS_GET_REFERRALS = 0x00060194, FSCTL_DFS_GET_REFERRALS_EX = 0x000601b0,
    FSCTL_GET_REPARSE_POINT = 0x000900a8, FSCTL_CREATE_OR_GET_OBJECT_ID = 0x000900c0, FSCTL_SET_SPARSE = 0x000900c4,
    FSCTL_GET_COMPRESSION = 0x0009003c, FSCTL_SET_COMPRESSION = 0x0009c040, FSCTL_QUERY_ALLOCATED_RANGES = 0x000940cf,
    FSCTL_SET_ZERO_DATA = 0x000980c8, FSCTL_PIPE_TRANSCEIVE = 0x0011c017, FSCTL_SRV_COPYCHUNK = 0x001440f2,
    FSCTL_SRV_COPYCHUNK_WRITE = 0x001480f2, FSCTL_SRV_REQUEST_RESUME_KEY = 0x00140078,
    FSCTL_QUERY_NETWORK_INTERFACE_INFO = 0x001401fc,
};

/* Answers an IOCTL (2.2.32). */
void control_answer(struct work *work, struct span output, uint32_t status);
/* The step of an operation that has no output. */
void control_done(struct work *work);

/* fsctl.c: those of files. False: the code is none of them. */
bool fsctl_serve(struct work *work, const struct ioctl_request *request);
/* copy.c: FSCTL_SRV_REQUEST_RESUME_KEY, FSCTL_SRV_COPYCHUNK and _WRITE */
void copy_key(struct work *work, const struct ioctl_request *request);
void copy_chunks(struct work *work, const struct ioctl_request *request);

#endif
