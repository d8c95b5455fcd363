#include "core/server_parts.h"

#include <assert.h>
#include <string.h>

static uint64_t *word_of(struct server_window *window, uint64_t id) {
    return &window->used[id % SERVER_CREDITS_MAX / 64];
}

static uint64_t bit_of(uint64_t id) {
    return (uint64_t)1 << id % 64;
}

void server_window_init(struct server_window *window) {
    memset(window, 0, sizeof *window);
    window->reach = 1;
}

static bool any_used(struct server_window *window, uint64_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (*word_of(window, first + i) & bit_of(first + i))
            return true;
    return false;
}

/* Ids at the lower end that are used leave the window. */
static void window_advance(struct server_window *window) {
    while (window->reach > 0 && *word_of(window, window->low) & bit_of(window->low)) {
        *word_of(window, window->low) &= ~bit_of(window->low);
        window->low++;
        window->reach--;
    }
}

bool server_window_take(struct server_window *window, uint64_t first, uint32_t count) {
    assert(count > 0);
    if (first < window->low || count > window->reach || first - window->low > window->reach - count)
        return false;
    if (any_used(window, first, count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        *word_of(window, first + i) |= bit_of(first + i);
    window_advance(window);
    return true;
}

uint16_t server_window_grant(struct server_window *window, uint16_t wanted, uint32_t limit) {
    uint32_t room = limit > window->reach ? limit - window->reach : 0;
    uint32_t granted = wanted > 0 ? wanted : 1;
    assert(limit <= SERVER_CREDITS_MAX);
    if (granted > room)
        granted = room;
    window->reach += granted;
    return (uint16_t)granted;
}
