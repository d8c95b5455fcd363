/* A committed table that what is seen is compared with. */
#ifndef SMBPROOF_SIM_GOLDEN_H
#define SMBPROOF_SIM_GOLDEN_H

/* The whole file, with a line break in front, so that every line has one; the caller frees it. Ends the program where the
 * file cannot be read. */
char *golden_read(const char *path);

#endif
