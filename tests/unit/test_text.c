/* wire/text.h: every code point there and back, everything ill-formed, and upper case against the C
 * library's. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include <cmocka.h>

#include "wire/text.h"

static void test_every_code_point(void **state) {
    (void)state;
    for (uint32_t code = 0; code <= 0x110000; code++) {
        uint8_t utf8[4], utf16[4], back[4];
        struct writer first = writer_over(utf8, 4), second = writer_over(utf16, 4),
                      third = writer_over(back, 4);
        struct reader reader;

        text_put_utf8(&first, code);
        if ((code >= 0xd800 && code < 0xe000) || code == 0x110000) {
            assert_true(first.failed);
            text_put_utf16(&second, code);
            assert_true(second.failed);
            continue;
        }
        assert_true(text_to_utf16(writer_done(&first), &second));
        assert_int_equal(second.at, code < 0x10000 ? 2 : 4);
        assert_true(text_to_utf8(writer_done(&second), &third));
        assert_true(span_equal(writer_done(&first), writer_done(&third)));
        reader = reader_over(writer_done(&second));
        assert_int_equal(text_take_utf16(&reader), code);
        for (size_t cut = 1; cut < first.at; cut++) {
            struct writer none = writer_over(back, 4);

            assert_false(text_to_utf16((struct span){utf8, cut}, &none));
        }
    }
}

struct pair {
    const char *utf8;
    size_t size;
    uint16_t utf16[4];
    size_t units;
};

static void test_known(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"", 0, {0}, 0},
        {"A\xc3\xa4", 3, {'A', 0xe4}, 2},
        {"\xed\x95\x9c\xea\xb8\x80", 6, {0xd55c, 0xae00}, 2},
        {"\xf0\x9f\x98\x80", 4, {0xd83d, 0xde00}, 2},
        {"a\0b", 3, {'a', 0, 'b'}, 3},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint8_t room[8], expected[8];
        struct writer writer = writer_over(room, sizeof room),
                      units = writer_over(expected, sizeof expected);

        for (size_t j = 0; j < pairs[i].units; j++)
            writer_u16(&units, pairs[i].utf16[j]);
        assert_true(
            text_to_utf16((struct span){(const uint8_t *)pairs[i].utf8, pairs[i].size}, &writer));
        assert_true(span_equal(writer_done(&writer), writer_done(&units)));
    }
    assert_int_equal(text_span(NULL).size, 0);
    assert_int_equal(text_span("abc").size, 3);
}

/* What has just room, and what has an octet less. */
static void test_room(void **state) {
    (void)state;
    static const char *const texts[] = {"a", "abc", "ab\xc3\xa4", "ab\xc3\xa4" "cd", "\xc3\xa4" "b"};
    static const size_t sizes[] = {2, 6, 6, 10, 4};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint8_t octets[12] = {0};
        struct writer enough = writer_over(octets, sizes[i]), less = writer_over(octets, sizes[i] - 1);

        assert_true(text_to_utf16(text_span(texts[i]), &enough));
        assert_int_equal(enough.at, sizes[i]);
        assert_false(text_to_utf16(text_span(texts[i]), &less));
        assert_true(less.failed);
        less = (struct writer){.data = octets, .size = sizeof octets, .failed = true};
        assert_false(text_to_utf16(text_span(texts[i]), &less));
        assert_int_equal(less.at, 0);
    }
}

static void test_ill_formed(void **state) {
    (void)state;
    static const char *const utf8[] = {
        "\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",     "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xfe",         "\xff",         "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x28\xa1",
        "\xc3",         "a\xc3",        "\xc3\xc3\xa4"};
    static const uint16_t utf16[][2] = {
        {0xd800, 'a'}, {0xdc00, 0xd800}, {0xdfff, 0xdfff}, {0xd800, 0xd800}, {'a', 0xdbff}};
    uint8_t room[16];

    for (size_t i = 0; i < sizeof utf8 / sizeof utf8[0]; i++) {
        struct writer writer = writer_over(room, sizeof room);

        assert_false(text_to_utf16(text_span(utf8[i]), &writer));
        assert_true(writer.failed);
    }
    for (size_t i = 0; i < sizeof utf16 / sizeof utf16[0]; i++) {
        uint8_t octets[4];
        struct writer units = writer_over(octets, 4), writer = writer_over(room, sizeof room);

        writer_u16(&units, utf16[i][0]);
        writer_u16(&units, utf16[i][1]);
        assert_false(text_to_utf8(writer_done(&units), &writer));
        assert_true(writer.failed);
    }
    struct writer odd = writer_over(room, sizeof room), narrow = writer_over(room, 3);
    assert_false(text_to_utf8((struct span){(const uint8_t *)"a\0b", 3}, &odd));
    assert_false(text_to_utf16(text_span("ab"), &narrow));
}

/* Where there is a mapping it is the C library's, and lower-casing brings the letter back (but for
 * the final sigma). The C
 * library knows more letters, as the table says; these few must be there. */
static void test_upper(void **state) {
    (void)state;
    locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    unsigned mapped = 0;

    for (uint32_t unit = 0; unit <= 0xffff; unit++) {
        uint16_t upper = text_upper((uint16_t)unit);

        mapped += upper != unit;
        if (unicode == (locale_t)0 || upper == unit)
            continue;
        assert_int_equal(upper, towupper_l((wint_t)unit, unicode));
        if (unit != 0x3c2)
            assert_int_equal(unit, towlower_l((wint_t)upper, unicode));
    }
    if (unicode != (locale_t)0)
        freelocale(unicode);
    assert_int_equal(mapped, 989);
    assert_int_equal(text_upper('a'), 'A');
    assert_int_equal(text_upper('z'), 'Z');
    assert_int_equal(text_upper('{'), '{');
    assert_int_equal(text_upper(0xe4), 0xc4);
    assert_int_equal(text_upper(0xf7), 0xf7);
    assert_int_equal(text_upper(0xff), 0x178);
    assert_int_equal(text_upper(0xdf), 0xdf);
    assert_int_equal(text_upper(0xb5), 0xb5);
    assert_int_equal(text_upper(0x219), 0x218);
    assert_int_equal(text_upper(0x3c9), 0x3a9);
    assert_int_equal(text_upper(0x44f), 0x42f);
    assert_int_equal(text_upper(0x10d0), 0x10d0);
    assert_int_equal(text_upper(0xff5a), 0xff3a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_ill_formed),
        cmocka_unit_test(test_upper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
