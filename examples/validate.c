// Is the negotiation with an SMB server proven? usage: SMBPROOF_PASSWORD=... validate ADDRESS PORT USER SHARE
#include <arpa/inet.h>
#include <smbproof.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int connect_to(const char *address, const char *port) {
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        return -1;
    return connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0 ? -1 : fd;
}

// One step with the socket; 0 where the connection is gone.
static int exchange(int fd, struct smbproof_client *client) {
    static uint8_t room[SMBPROOF_SETUP_MAX];
    size_t size;

    if (smbproof_client_step(client) == SMBPROOF_SEND) {
        const uint8_t *octets = smbproof_client_output(client, &size);
        ssize_t sent = write(fd, octets, size);
        return sent > 0 ? smbproof_client_sent(client, (size_t)sent), 1 : 0;
    }
    if (recv(fd, room, 4, MSG_WAITALL) != 4)
        return 0;
    size = smbproof_frame_size(room);
    if (size > sizeof room || recv(fd, room, size, MSG_WAITALL) != (ssize_t)size)
        return 0;
    smbproof_client_receive(client, room, size);
    return 1;
}

static enum smbproof_want run(int fd, struct smbproof_client *client) {
    while (smbproof_client_step(client) < SMBPROOF_READY)
        if (!exchange(fd, client))
            smbproof_client_disconnected(client);
    return smbproof_client_step(client);
}

int main(int argc, char **argv) {
    struct smbproof_options options;
    struct smbproof_facts facts;
    struct smbproof_failure failure;
    if (argc != 5)
        return 2;
    smbproof_options_init(&options);
    options.host = argv[1], options.user = argv[3], options.password = getenv("SMBPROOF_PASSWORD");
    struct smbproof_client *client = smbproof_client_new(&options);
    int fd = connect_to(argv[1], argv[2]), connected = 0;
    if (client && fd >= 0 && run(fd, client) == SMBPROOF_READY && smbproof_client_connect_tree(client, argv[4]))
        connected = run(fd, client) == SMBPROOF_READY && smbproof_client_tree(client) != 0;
    if (connected && smbproof_client_facts(client, &facts))
        printf("dialect %s, signing %s, validation %s\n", facts.dialect, facts.signing, facts.validation);
    else if (client && smbproof_client_failure(client, &failure))
        printf("%s %s\n", failure.sentence, failure.remedy);
    smbproof_client_free(client);
    return close(fd) < 0 || !connected;
}
