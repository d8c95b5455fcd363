/* Where a password comes from: a file, an open descriptor, the environment or a prompt, never an
 * argument of the command, which everybody on the machine can read. None is ever printed. */
#ifndef SMBPROOF_AUTH_CREDENTIALS_H
#define SMBPROOF_AUTH_CREDENTIALS_H

#include "auth/auth.h"

#define CREDENTIALS_VARIABLE "SMBPROOF_PASSWORD"
/* Room for a password: octets of UTF-8, with the NUL. */
#define CREDENTIALS_ROOM (AUTH_PASSWORD_MAX + 1)

/* The first that is given is used: a file, a descriptor, the environment, the prompt. */
struct credentials_sources {
    const char *file;   /* its first line; NULL: none */
    int descriptor;     /* one line of it; -1: none */
    bool environment;   /* SMBPROOF_PASSWORD, where it is set */
    const char *prompt; /* what to ask with on the terminal; NULL: do not ask */
};

/* 0, or a negative errno: what opening and reading gave; -ENODATA where nothing is there to read
 * and where no source has a password, -ENOTTY where one would have to be asked for without a
 * terminal, -EACCES for a file that others can read, -E2BIG beyond AUTH_PASSWORD_MAX, -EILSEQ for
 * what is not UTF-8 or has a NUL inside, -EINTR for a signal that did not end the program.
 * `password` holds a string, and is wiped on failure; the caller wipes it after use. Meant for the
 * time before there are threads: the environment's copy of the password is wiped, and signals are
 * held back while the terminal does not echo. */
int credentials_read(const struct credentials_sources *sources, char password[CREDENTIALS_ROOM]);
/* What such an error means for who has to type, in words. */
const char *credentials_error(int error);

/* The single sources, likewise. One line; its end is taken away. */
int credentials_from_descriptor(int descriptor, char password[CREDENTIALS_ROOM]);
int credentials_from_file(const char *path, char password[CREDENTIALS_ROOM]);
int credentials_from_terminal(const char *prompt, char password[CREDENTIALS_ROOM]);

#endif
