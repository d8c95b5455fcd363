#include "auth/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "wire/text.h"

/* ---- one line ---- */

static bool is_password(const char *text, size_t size) {
    struct reader reader = reader_over((struct span){(const uint8_t *)text, size});

    while (reader_left(&reader) > 0)
        if (text_take_utf8(&reader) == 0)
            return false; /* ill-formed, or a NUL */
    return true;
}

static int finish_line(char password[CREDENTIALS_ROOM], size_t size) {
    if (size > 0 && password[size - 1] == '\r')
        size--;
    password[size] = '\0';
    return is_password(password, size) ? 0 : -EILSEQ;
}

/* Octet by octet, since what follows the line belongs to somebody else. */
static int take_line(int descriptor, char password[CREDENTIALS_ROOM]) {
    size_t size = 0;

    for (;;) {
        char octet;
        ssize_t got = read(descriptor, &octet, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0 && size == 0)
            return -ENODATA;
        if (got == 0 || octet == '\n')
            return finish_line(password, size);
        if (size == AUTH_PASSWORD_MAX)
            return -E2BIG;
        password[size++] = octet;
    }
}

/* On failure nothing of it is left. */
static int wiped(int result, char password[CREDENTIALS_ROOM]) {
    if (result != 0)
        crypto_wipe(password, CREDENTIALS_ROOM);
    return result;
}

int credentials_from_descriptor(int descriptor, char password[CREDENTIALS_ROOM]) {
    return wiped(take_line(descriptor, password), password);
}

int credentials_from_file(const char *path, char password[CREDENTIALS_ROOM]) {
    struct stat status;
    int result, file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (file < 0)
        return -errno;
    if (fstat(file, &status) != 0)
        result = -errno;
    else if (S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        result = -EACCES;
    else
        result = credentials_from_descriptor(file, password);
    close(file);
    return result;
}

/* ---- the terminal ---- */

static int say(int terminal, const char *text) {
    size_t size = strlen(text);

    return write(terminal, text, size) == (ssize_t)size ? 0 : -EIO;
}

static sigset_t signals_of_interest(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaddset(&set, numbers[i]);
    return set;
}

/* Waits for a line, which the terminal hands over whole, or for a signal that is held back. */
static int wait_line(int terminal, int signals, bool *stopped) {
    struct pollfd polled[] = {{terminal, POLLIN, 0}, {signals, POLLIN, 0}};
    struct signalfd_siginfo signal;

    while (poll(polled, 2, -1) < 0)
        if (errno != EINTR)
            return -errno;
    if (!(polled[1].revents & POLLIN))
        return 0;
    /* It has to be taken to be known, and is raised again. */
    if (read(signals, &signal, sizeof signal) != sizeof signal)
        return -EIO;
    *stopped =
        signal.ssi_signo == SIGTSTP || signal.ssi_signo == SIGTTIN || signal.ssi_signo == SIGTTOU;
    raise((int)signal.ssi_signo);
    return -EINTR;
}

/* With the echo off from here on, and back to what it was whatever happens. */
static int ask_silently(int terminal, int signals, const char *prompt,
                        char password[CREDENTIALS_ROOM], bool *stopped) {
    struct termios before, silent;
    int result;

    if (tcgetattr(terminal, &before) != 0)
        return -errno;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
    silent.c_lflag |= ICANON | ISIG;
    if (tcsetattr(terminal, TCSAFLUSH, &silent) != 0)
        return -errno;
    result = say(terminal, prompt);
    if (result == 0)
        result = wait_line(terminal, signals, stopped);
    if (result == 0)
        result = take_line(terminal, password);
    tcsetattr(terminal, TCSAFLUSH, &before);
    say(terminal, "\n");
    return result;
}

/* Signals are held back while the terminal does not echo, and come afterwards: the shell finds its
 * terminal as it was. Whoever stops the program and goes on is asked again. */
static int ask(int terminal, const char *prompt, char password[CREDENTIALS_ROOM]) {
    sigset_t held = signals_of_interest(), before;
    int result, signals = signalfd(-1, &held, SFD_CLOEXEC);
    bool stopped;

    if (signals < 0)
        return -errno;
    do {
        stopped = false;
        sigprocmask(SIG_BLOCK, &held, &before);
        result = ask_silently(terminal, signals, prompt, password, &stopped);
        sigprocmask(SIG_SETMASK, &before, NULL);
    } while (stopped);
    close(signals);
    return result;
}

int credentials_from_terminal(const char *prompt, char password[CREDENTIALS_ROOM]) {
    int result, terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    if (terminal < 0)
        return -ENOTTY;
    result = wiped(ask(terminal, prompt, password), password);
    close(terminal);
    return result;
}

/* ---- all of them ---- */

static int from_environment(char *value, char password[CREDENTIALS_ROOM]) {
    size_t size = strlen(value);
    int result = size > AUTH_PASSWORD_MAX ? -E2BIG : is_password(value, size) ? 0 : -EILSEQ;

    if (result == 0)
        memcpy(password, value, size + 1);
    crypto_wipe(value, size);
    unsetenv(CREDENTIALS_VARIABLE);
    return result;
}

int credentials_read(const struct credentials_sources *sources, char password[CREDENTIALS_ROOM]) {
    char *value = sources->environment ? getenv(CREDENTIALS_VARIABLE) : NULL;

    if (sources->file != NULL)
        return credentials_from_file(sources->file, password);
    if (sources->descriptor >= 0)
        return credentials_from_descriptor(sources->descriptor, password);
    if (value != NULL)
        return wiped(from_environment(value, password), password);
    if (sources->prompt != NULL)
        return credentials_from_terminal(sources->prompt, password);
    return wiped(-ENODATA, password);
}

const char *credentials_error(int error) {
    switch (error) {
    case -ENODATA:
        return "there is no password";
    case -ENOTTY:
        return "there is no terminal to ask for a password; give it with --password-file or "
               "in " CREDENTIALS_VARIABLE;
    case -EACCES:
        return "the file cannot be read, or others can read it, too (chmod 600)";
    case -E2BIG:
        return "the password is too long";
    case -EILSEQ:
        return "the password is not UTF-8";
    case -EINTR:
        return "interrupted";
    default:
        return strerror(-error);
    }
}
