/* Loaded before libc: while the file that UDP_CUT names exists, the process sends and receives no UDP.
   What is sent is lost on its way; what arrives is thrown away. TCP, and so the signalling, goes on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int cut(int fd) {
    const char *flag = getenv("UDP_CUT");
    if (!flag || access(flag, F_OK)) return 0;
    int type = 0, domain = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_DGRAM) return 0;
    size = sizeof domain;
    return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && (domain == AF_INET || domain == AF_INET6);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t send(int fd, const void *data, size_t size, int flags) {
    REAL(send);
    return cut(fd) ? (ssize_t)size : real(fd, data, size, flags);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    REAL(sendto);
    return cut(fd) ? (ssize_t)size : real(fd, data, size, flags, to, length);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REAL(sendmsg);
    if (!cut(fd)) return real(fd, message, flags);
    size_t size = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) size += message->msg_iov[i].iov_len;
    return (ssize_t)size;
}

static ssize_t lost(int fd, ssize_t got) {
    if (got < 0 || !cut(fd)) return got;
    errno = EAGAIN;
    return -1;
}

ssize_t recv(int fd, void *data, size_t size, int flags) {
    REAL(recv);
    return lost(fd, real(fd, data, size, flags));
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length) {
    REAL(recvfrom);
    return lost(fd, real(fd, data, size, flags, from, length));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    REAL(recvmsg);
    return lost(fd, real(fd, message, flags));
}
