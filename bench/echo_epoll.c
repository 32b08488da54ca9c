/* The floor under every echo: one thread, epoll, read, write, no event loop and no Python.
 *
 * Lives here: the least a server can do for each message. What an implementation costs above this is its own.
 * usage: echo_epoll [udp | unix:PATH]; without an argument TCP.
 * Prints its port (0 for a path), serves until it is killed. Loopback only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 16, EVENTS = 256, BACKLOG = 512, BATCH = 32 };

static int listen_at_path(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BACKLOG)) {
        perror("echo_epoll");
        exit(1);
    }
    printf("0\n");
    fflush(stdout);
    return fd;
}

static int listen_on_loopback(int kind) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, kind | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) || (kind == SOCK_STREAM && listen(fd, BACKLOG)) ||
        getsockname(fd, (struct sockaddr *)&address, &size)) {
        perror("echo_epoll");
        exit(1);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void watch(int poller, int fd) {
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest);
}

static void echo(int fd) {
    static char buffer[READ_BYTES];
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got > 0 && send(fd, buffer, (size_t)got, MSG_NOSIGNAL) == got)
        return;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(fd);
}

/* What has arrived, by one call, and back by another. */
static void echo_datagrams(int fd) {
    static char buffers[BATCH][READ_BYTES];
    struct sockaddr_in names[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH] = {0};
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){buffers[i], READ_BYTES};
        struct msghdr *head = &messages[i].msg_hdr;
        *head = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < got; i++)
        parts[i].iov_len = messages[i].msg_len;
    for (int sent = 0, n; sent < got && (n = sendmmsg(fd, messages + sent, (unsigned)(got - sent), 0)) > 0; sent += n)
        ;
}

int main(int argc, char **argv) {
    int udp = argc > 1 && strcmp(argv[1], "udp") == 0, local = argc > 1 && strncmp(argv[1], "unix:", 5) == 0;
    int listener = local ? listen_at_path(argv[1] + 5) : listen_on_loopback(udp ? SOCK_DGRAM : SOCK_STREAM), poller = epoll_create1(0), yes = 1;
    struct epoll_event events[EVENTS];
    watch(poller, listener);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                echo(events[i].data.fd);
                continue;
            }
            if (udp) {
                echo_datagrams(listener);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd >= 0) {
                if (!local)
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                watch(poller, fd);
            }
        }
    }
}
