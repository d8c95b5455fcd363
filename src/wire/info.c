#include "wire/info.h"

#include <assert.h>
#include <string.h>

#include "wire/layout_rows.h"
#include "wire/parts.h"

#define FIELDS_STRUCT struct file_basic_info
FIELDS_DEFINE(file_basic_info, FILE_BASIC_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_standard_info
FIELDS_DEFINE(file_standard_info, FILE_STANDARD_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_number_info
FIELDS_DEFINE(file_number_info, FILE_NUMBER_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_short_number_info
FIELDS_DEFINE(file_short_number_info, FILE_SHORT_NUMBER_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_disposition_info
FIELDS_DEFINE(file_disposition_info, FILE_DISPOSITION_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_rename_info
FIELDS_DEFINE(file_rename_info, FILE_RENAME_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_name_info
FIELDS_DEFINE(file_name_info, FILE_NAME_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_all_info
FIELDS_DEFINE(file_all_info, FILE_ALL_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_network_open_info
FIELDS_DEFINE(file_network_open_info, FILE_NETWORK_OPEN_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_attribute_tag_info
FIELDS_DEFINE(file_attribute_tag_info, FILE_ATTRIBUTE_TAG_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_compression_info
FIELDS_DEFINE(file_compression_info, FILE_COMPRESSION_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_id_info
FIELDS_DEFINE(file_id_info, FILE_ID_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_stream_info
FIELDS_DEFINE(file_stream_info, FILE_STREAM_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct file_notify_info
FIELDS_DEFINE(file_notify_info, FILE_NOTIFY_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_volume_info
FIELDS_DEFINE(fs_volume_info, FS_VOLUME_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_size_info
FIELDS_DEFINE(fs_size_info, FS_SIZE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_full_size_info
FIELDS_DEFINE(fs_full_size_info, FS_FULL_SIZE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_device_info
FIELDS_DEFINE(fs_device_info, FS_DEVICE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_attribute_info
FIELDS_DEFINE(fs_attribute_info, FS_ATTRIBUTE_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_object_id_info
FIELDS_DEFINE(fs_object_id_info, FS_OBJECT_ID_FIELDS)
#undef FIELDS_STRUCT
#define FIELDS_STRUCT struct fs_sector_size_info
FIELDS_DEFINE(fs_sector_size_info, FS_SECTOR_SIZE_FIELDS)
#undef FIELDS_STRUCT

#define RECORD_DEFINE(name, size, structure_size, least, ...) \
    LAYOUT_DEFINE(name, 0, size, structure_size, least, __VA_ARGS__)
INFO_BODIES(RECORD_DEFINE, LAYOUT_TAIL)

/* The six directory classes are one struct with six tables: all begin alike. */
#define FIELDS_STRUCT struct directory_entry
#define ENTRY_NAMES_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint32_t, next_entry_offset, "NextEntryOffset", 4, 0)                                   \
    NUMBER(uint32_t, file_index, "FileIndex", 4, 4)                                                \
    NUMBER(uint32_t, file_name_length, "FileNameLength", 4, 8)
#define ENTRY_DIRECTORY_FIELDS(NUMBER, OCTETS)                                                     \
    NUMBER(uint32_t, next_entry_offset, "NextEntryOffset", 4, 0)                                   \
    NUMBER(uint32_t, file_index, "FileIndex", 4, 4)                                                \
    NUMBER(uint64_t, creation_time, "CreationTime", 8, 8)                                          \
    NUMBER(uint64_t, last_access_time, "LastAccessTime", 8, 16)                                    \
    NUMBER(uint64_t, last_write_time, "LastWriteTime", 8, 24)                                      \
    NUMBER(uint64_t, change_time, "ChangeTime", 8, 32)                                             \
    NUMBER(uint64_t, end_of_file, "EndOfFile", 8, 40)                                              \
    NUMBER(uint64_t, allocation_size, "AllocationSize", 8, 48)                                     \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 56)                                     \
    NUMBER(uint32_t, file_name_length, "FileNameLength", 4, 60)
#define ENTRY_FULL_FIELDS(NUMBER, OCTETS)                                                          \
    ENTRY_DIRECTORY_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint32_t, ea_size, "EaSize", 4, 64)
#define ENTRY_ID_FULL_FIELDS(NUMBER, OCTETS)                                                       \
    ENTRY_FULL_FIELDS(NUMBER, OCTETS)                                                              \
    NUMBER(uint64_t, file_id, "FileId", 8, 72)
#define ENTRY_BOTH_FIELDS(NUMBER, OCTETS)                                                          \
    ENTRY_FULL_FIELDS(NUMBER, OCTETS)                                                              \
    NUMBER(uint8_t, short_name_length, "ShortNameLength", 1, 68)                                   \
    OCTETS(short_name, "ShortName", 24, 70)
#define ENTRY_ID_BOTH_FIELDS(NUMBER, OCTETS)                                                       \
    ENTRY_BOTH_FIELDS(NUMBER, OCTETS)                                                              \
    NUMBER(uint64_t, file_id, "FileId", 8, 96)

#define ENTRY_TABLE(name, LIST) static const struct field name[] = {LIST(FIELDS_ROW_NUMBER, FIELDS_ROW_OCTETS)};
#define ENTRY_CLASS(name, size)                                                                    \
    { name, sizeof name / sizeof name[0], size }

ENTRY_TABLE(names_fields, ENTRY_NAMES_FIELDS)
ENTRY_TABLE(directory_fields, ENTRY_DIRECTORY_FIELDS)
ENTRY_TABLE(full_fields, ENTRY_FULL_FIELDS)
ENTRY_TABLE(id_full_fields, ENTRY_ID_FULL_FIELDS)
ENTRY_TABLE(both_fields, ENTRY_BOTH_FIELDS)
ENTRY_TABLE(id_both_fields, ENTRY_ID_BOTH_FIELDS)

struct entry_class {
    const struct field *fields;
    unsigned count;
    uint16_t size;
};

static const struct entry_class *entry_class(enum file_info_class info_class) {
    static const struct entry_class classes[] = {
        [FILE_DIRECTORY_INFORMATION] = ENTRY_CLASS(directory_fields, 64),
        [FILE_FULL_DIRECTORY_INFORMATION] = ENTRY_CLASS(full_fields, 68),
        [FILE_BOTH_DIRECTORY_INFORMATION] = ENTRY_CLASS(both_fields, 94),
        [FILE_NAMES_INFORMATION] = ENTRY_CLASS(names_fields, 12),
        [FILE_ID_BOTH_DIRECTORY_INFORMATION] = ENTRY_CLASS(id_both_fields, 104),
        [FILE_ID_FULL_DIRECTORY_INFORMATION] = ENTRY_CLASS(id_full_fields, 80),
    };

    if ((size_t)info_class >= sizeof classes / sizeof classes[0] || classes[info_class].size == 0)
        return NULL;
    return &classes[info_class];
}
#undef FIELDS_STRUCT

size_t directory_entry_size(enum file_info_class info_class) {
    const struct entry_class *found = entry_class(info_class);

    return found == NULL ? 0 : found->size;
}

bool directory_entry_decode(enum file_info_class info_class, struct span octets, struct directory_entry *entry) {
    const struct entry_class *found = entry_class(info_class);
    struct reader reader = reader_over(octets);

    assert(found != NULL);
    memset(entry, 0, sizeof *entry);
    if (!fields_decode(found->fields, found->count, found->size, &reader, entry))
        return false;
    entry->name = reader_take(&reader, entry->file_name_length);
    return !reader.failed && entry->short_name_length <= sizeof entry->short_name;
}

void directory_entry_encode(enum file_info_class info_class, const struct directory_entry *entry,
                            struct writer *writer) {
    const struct entry_class *found = entry_class(info_class);
    struct directory_entry placed = *entry;

    assert(found != NULL);
    placed.next_entry_offset = 0;
    placed.file_name_length = (uint32_t)entry->name.size;
    fields_encode(found->fields, found->count, found->size, &placed, writer);
    writer_put(writer, entry->name);
}

/* Seconds from 1601-01-01 to 1970-01-01. */
#define FILETIME_EPOCH_SECONDS 11644473600
#define FILETIME_NANOSECONDS   100

void filetime_split(uint64_t filetime, int64_t *seconds, int32_t *nanoseconds) {
    *seconds = (int64_t)(filetime / FILETIME_PER_SECOND) - FILETIME_EPOCH_SECONDS;
    *nanoseconds = (int32_t)(filetime % FILETIME_PER_SECOND) * FILETIME_NANOSECONDS;
}

uint64_t filetime_join(int64_t seconds, int32_t nanoseconds) {
    const int64_t most = INT64_MAX / FILETIME_PER_SECOND - 1 - FILETIME_EPOCH_SECONDS;

    assert(nanoseconds >= 0 && nanoseconds < 1000000000);
    if (seconds < -FILETIME_EPOCH_SECONDS)
        return 0;
    if (seconds > most)
        return INT64_MAX; /* FILETIME is signed: [MS-DTYP] 2.3.3, [MS-FSCC] 2.1.1 */
    return (uint64_t)(seconds + FILETIME_EPOCH_SECONDS) * FILETIME_PER_SECOND +
           (uint64_t)(nanoseconds / FILETIME_NANOSECONDS);
}
