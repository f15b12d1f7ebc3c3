/* A preloaded library that answers for the system's resolver from a file.
 *
 * cc -O2 -shared -fPIC -o fakedns.so fakedns.c
 * LD_PRELOAD=./fakedns.so FAKEDNS=FILE PROGRAM
 *
 * The file is read anew for each call. One fact a line, names without regard to case and last dot:
 *
 *   A name address…          the addresses of a name, IPv4 and IPv6
 *   PTR address name…        the names of an address; the first is given
 *   MX name preference host  a mail exchanger; "." is the null MX
 *   FAIL name-or-address     no answer: try again
 *   SLOW name-or-address ms  the answer takes this long
 *
 * Everything else is not there. Addresses stand for themselves, as always.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define WORDS_MAX 40
#define LINE_MAX_OCTETS 4096

/* Calls `see` with the words of each line; stops when it says so. */
static void each_line(int (*see)(int count, char **words, void *state), void *state)
{
    const char *name = getenv("FAKEDNS");
    FILE *file = name ? fopen(name, "re") : NULL;
    char line[LINE_MAX_OCTETS];

    while (file && fgets(line, sizeof line, file)) {
        char *words[WORDS_MAX];
        char *rest = line, *word;
        int count = 0;

        while (count < WORDS_MAX && (word = strsep(&rest, " \t\r\n")))
            if (*word)
                words[count++] = word;
        if (count >= 2 && words[0][0] != '#' && see(count, words, state))
            break;
    }
    if (file)
        fclose(file);
}

static int same(const char *one, const char *other)
{
    size_t a = strlen(one), b = strlen(other);

    if (a > 1 && one[a - 1] == '.')
        a--;
    if (b > 1 && other[b - 1] == '.')
        b--;
    return a == b && strncasecmp(one, other, a) == 0;
}

struct trouble {
    const char *name;
    int fails;
    long slow_ms;
};

static int see_trouble(int count, char **words, void *state)
{
    struct trouble *trouble = state;

    if (same(words[1], trouble->name)) {
        if (strcmp(words[0], "FAIL") == 0)
            trouble->fails = 1;
        if (strcmp(words[0], "SLOW") == 0 && count >= 3)
            trouble->slow_ms = atol(words[2]);
    }
    return 0;
}

/* Waits as long as the file says; tells whether there is to be no answer. */
static int suffer(const char *name)
{
    struct trouble trouble = {name, 0, 0};

    each_line(see_trouble, &trouble);
    if (trouble.slow_ms > 0) {
        struct timespec time = {trouble.slow_ms / 1000, trouble.slow_ms % 1000 * 1000000};

        while (nanosleep(&time, &time) != 0)
            ;
    }
    return trouble.fails;
}

struct wanted {
    const char *name;
    int family;
    int port;
    const struct addrinfo *hints;
    struct addrinfo *first;
    struct addrinfo **next;
    int known;
};

/* One allocation holds the entry, its address and the canonical name. */
static void add(struct wanted *wanted, int family, const void *address)
{
    struct {
        struct addrinfo info;
        struct sockaddr_storage socket;
        char canonical[NI_MAXHOST];
    } *entry;
    int kind = wanted->hints ? wanted->hints->ai_socktype : 0;

    if (wanted->family != AF_UNSPEC && wanted->family != family)
        return;
    entry = calloc(1, sizeof *entry);
    if (!entry)
        return;
    if (family == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)&entry->socket;

        four->sin_family = AF_INET;
        four->sin_port = htons(wanted->port);
        memcpy(&four->sin_addr, address, 4);
        entry->info.ai_addrlen = sizeof *four;
    } else {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&entry->socket;

        six->sin6_family = AF_INET6;
        six->sin6_port = htons(wanted->port);
        memcpy(&six->sin6_addr, address, 16);
        entry->info.ai_addrlen = sizeof *six;
    }
    entry->info.ai_family = family;
    entry->info.ai_socktype = kind ? kind : SOCK_STREAM;
    entry->info.ai_addr = (struct sockaddr *)&entry->socket;
    if (wanted->hints && wanted->hints->ai_flags & AI_CANONNAME && !wanted->first) {
        snprintf(entry->canonical, sizeof entry->canonical, "%s", wanted->name);
        entry->info.ai_canonname = entry->canonical;
    }
    *wanted->next = &entry->info;
    wanted->next = &entry->info.ai_next;
}

static void add_text(struct wanted *wanted, const char *text)
{
    unsigned char address[16];

    if (inet_pton(AF_INET, text, address) == 1)
        add(wanted, AF_INET, address);
    else if (inet_pton(AF_INET6, text, address) == 1)
        add(wanted, AF_INET6, address);
}

static int see_address(int count, char **words, void *state)
{
    struct wanted *wanted = state;
    int number;

    if (strcmp(words[0], "A") == 0 && same(words[1], wanted->name)) {
        wanted->known = 1;
        for (number = 2; number < count; number++)
            add_text(wanted, words[number]);
    }
    return 0;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
    struct wanted wanted = {name, hints ? hints->ai_family : AF_UNSPEC, service ? atoi(service) : 0, hints, NULL, NULL, 0};

    if (!name)
        return EAI_NONAME;
    wanted.next = &wanted.first;
    add_text(&wanted, name);
    if (!wanted.first) {
        if (suffer(name))
            return EAI_AGAIN;
        each_line(see_address, &wanted);
    }
    if (!wanted.first)
        return wanted.known ? EAI_NODATA : EAI_NONAME;
    *list = wanted.first;
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;

        free(list);
        list = next;
    }
}

struct named {
    const char *address;
    char *name;
    size_t room;
    int found;
};

static int see_pointer(int count, char **words, void *state)
{
    struct named *named = state;

    if (strcmp(words[0], "PTR") != 0 || strcmp(words[1], named->address) != 0 || count < 3)
        return 0;
    named->found = 1;
    snprintf(named->name, named->room, "%s", words[2]);
    return 1;
}

int getnameinfo(const struct sockaddr *socket, socklen_t length, char *name, socklen_t room, char *service,
                socklen_t service_room, int flags)
{
    char address[INET6_ADDRSTRLEN];
    struct named named = {address, name, room, 0};
    const void *octets = socket->sa_family == AF_INET ? (const void *)&((const struct sockaddr_in *)socket)->sin_addr
                                                      : (const void *)&((const struct sockaddr_in6 *)socket)->sin6_addr;

    (void)length, (void)service, (void)service_room;
    if (!inet_ntop(socket->sa_family, octets, address, sizeof address))
        return EAI_FAMILY;
    if (suffer(address))
        return EAI_AGAIN;
    each_line(see_pointer, &named);
    if (named.found)
        return 0;
    if (flags & NI_NAMEREQD)
        return EAI_NONAME;
    snprintf(name, room, "%s", address);
    return 0;
}

struct message {
    const char *name;
    unsigned char octets[LINE_MAX_OCTETS];
    size_t length;
    int records;
    int known;
};

static void put(struct message *message, unsigned number, int octets)
{
    while (octets-- > 0 && message->length < sizeof message->octets)
        message->octets[message->length++] = number >> 8 * octets & 0xff;
}

/* Puts a name without its last octet. */
static void put_labels(struct message *message, const char *name)
{
    while (*name && *name != '.') {
        size_t label = strcspn(name, ".");
        size_t at;

        put(message, label, 1);
        for (at = 0; at < label; at++)
            put(message, (unsigned char)name[at], 1);
        name += label;
        if (*name == '.')
            name++;
    }
}

static int see_exchanger(int count, char **words, void *state)
{
    struct message *message = state;
    size_t at;

    if (!same(words[1], message->name))
        return 0;
    if (strcmp(words[0], "A") == 0)
        message->known = 1;
    if (strcmp(words[0], "MX") != 0 || count < 4)
        return 0;
    message->known = 1;
    message->records++;
    put(message, 0xc00c, 2);
    put(message, 15, 2);
    put(message, 1, 2);
    put(message, 60, 4);
    at = message->length;
    put(message, 0, 2);
    put(message, atoi(words[2]), 2);
    put_labels(message, words[3]);
    put(message, 0, 1);
    message->octets[at] = (message->length - at - 2) >> 8;
    message->octets[at + 1] = (message->length - at - 2) & 0xff;
    return 0;
}

int res_query(const char *name, int class, int type, unsigned char *answer, int room)
{
    struct message message = {name, {0x12, 0x34, 0x81, 0x80, 0, 1}, 12, 0, 0};

    (void)class;
    if (suffer(name)) {
        h_errno = TRY_AGAIN;
        return -1;
    }
    put_labels(&message, name);
    put(&message, 0, 1);
    put(&message, type, 2);
    put(&message, 1, 2);
    each_line(see_exchanger, &message);
    if (message.records == 0) {
        h_errno = message.known ? NO_DATA : HOST_NOT_FOUND;
        return -1;
    }
    message.octets[7] = message.records;
    memcpy(answer, message.octets, message.length < (size_t)room ? message.length : (size_t)room);
    return message.length;
}

int __res_query(const char *name, int class, int type, unsigned char *answer, int room)
{
    return res_query(name, class, type, answer, room);
}
