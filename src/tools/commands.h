/* The sub-commands; each parses its own arguments, argv[0] being its name. */
#ifndef SMBPROOF_TOOLS_COMMANDS_H
#define SMBPROOF_TOOLS_COMMANDS_H

int command_explain(int argc, char **argv);
int command_passwd(int argc, char **argv);

#endif
