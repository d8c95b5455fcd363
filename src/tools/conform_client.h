#ifndef SMBPROOF_TOOLS_CONFORM_CLIENT_H
#define SMBPROOF_TOOLS_CONFORM_CLIENT_H

/* `smbproof conform client`: built with the file server, which it needs. */
int command_conform_client(int argc, char **argv);

#endif
