/* What QUERY_INFO, SET_INFO, QUERY_DIRECTORY and CHANGE_NOTIFY carry: the information classes of [MS-FSCC], whose
 * sections are named. Decoders take the buffer; encoders append to a writer. Names are UTF-16LE. Times count 100 ns
 * since 1601 (FILETIME); 0 leaves a time as it is where it is set. */
#ifndef SMBPROOF_WIRE_INFO_H
#define SMBPROOF_WIRE_INFO_H

#include "wire/layout.h"

/* [MS-FSCC] 2.4 */
enum file_info_class {
    FILE_DIRECTORY_INFORMATION = 1,
    FILE_FULL_DIRECTORY_INFORMATION = 2,
    FILE_BOTH_DIRECTORY_INFORMATION = 3,
    FILE_BASIC_INFORMATION = 4,
    FILE_STANDARD_INFORMATION = 5,
    FILE_INTERNAL_INFORMATION = 6,
    FILE_EA_INFORMATION = 7,
    FILE_ACCESS_INFORMATION = 8,
    FILE_RENAME_INFORMATION = 10,
    FILE_LINK_INFORMATION = 11,
    FILE_NAMES_INFORMATION = 12,
    FILE_DISPOSITION_INFORMATION = 13,
    FILE_POSITION_INFORMATION = 14,
    FILE_FULL_EA_INFORMATION = 15,
    FILE_MODE_INFORMATION = 16,
    FILE_ALIGNMENT_INFORMATION = 17,
    FILE_ALL_INFORMATION = 18,
    FILE_ALLOCATION_INFORMATION = 19,
    FILE_END_OF_FILE_INFORMATION = 20,
    FILE_ALTERNATE_NAME_INFORMATION = 21,
    FILE_STREAM_INFORMATION = 22,
    FILE_COMPRESSION_INFORMATION = 28,
    FILE_NETWORK_OPEN_INFORMATION = 34,
    FILE_ATTRIBUTE_TAG_INFORMATION = 35,
    FILE_ID_BOTH_DIRECTORY_INFORMATION = 37,
    FILE_ID_FULL_DIRECTORY_INFORMATION = 38,
    FILE_NORMALIZED_NAME_INFORMATION = 48,
    FILE_ID_INFORMATION = 59,
};

/* [MS-FSCC] 2.5 */
enum fs_info_class {
    FS_VOLUME_INFORMATION = 1,
    FS_SIZE_INFORMATION = 3,
    FS_DEVICE_INFORMATION = 4,
    FS_ATTRIBUTE_INFORMATION = 5,
    FS_CONTROL_INFORMATION = 6,
    FS_FULL_SIZE_INFORMATION = 7,
    FS_OBJECT_ID_INFORMATION = 8,
    FS_SECTOR_SIZE_INFORMATION = 11,
};

/* 2.4.7; also the first part of FileAllInformation */
#define FILE_BASIC_FIELDS(NUMBER, OCTETS)                                                          \
    NUMBER(uint64_t, creation_time, "CreationTime", 8, 0)                                          \
    NUMBER(uint64_t, last_access_time, "LastAccessTime", 8, 8)                                     \
    NUMBER(uint64_t, last_write_time, "LastWriteTime", 8, 16)                                      \
    NUMBER(uint64_t, change_time, "ChangeTime", 8, 24)                                             \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 32)                                     \
    NUMBER(uint32_t, reserved, "Reserved", 4, 36)

struct file_basic_info {
    FIELDS_MEMBERS(FILE_BASIC_FIELDS)
};

/* 2.4.47 */
#define FILE_STANDARD_FIELDS(NUMBER, OCTETS)                                                       \
    NUMBER(uint64_t, allocation_size, "AllocationSize", 8, 0)                                      \
    NUMBER(uint64_t, end_of_file, "EndOfFile", 8, 8)                                               \
    NUMBER(uint32_t, number_of_links, "NumberOfLinks", 4, 16)                                      \
    NUMBER(uint8_t, delete_pending, "DeletePending", 1, 20)                                        \
    NUMBER(uint8_t, directory, "Directory", 1, 21)                                                 \
    NUMBER(uint16_t, reserved, "Reserved", 2, 22)

struct file_standard_info {
    FIELDS_MEMBERS(FILE_STANDARD_FIELDS)
};

/* Classes that are one number: FileInternalInformation, FileAllocationInformation, FileEndOfFileInformation,
 * FilePositionInformation (2.4.27, 2.4.4, 2.4.14, 2.4.40). */
#define FILE_NUMBER_FIELDS(NUMBER, OCTETS) NUMBER(uint64_t, value, "Value", 8, 0)

struct file_number_info {
    FIELDS_MEMBERS(FILE_NUMBER_FIELDS)
};

/* FileEaInformation, FileAccessInformation, FileModeInformation, FileAlignmentInformation */
#define FILE_SHORT_NUMBER_FIELDS(NUMBER, OCTETS) NUMBER(uint32_t, value, "Value", 4, 0)

struct file_short_number_info {
    FIELDS_MEMBERS(FILE_SHORT_NUMBER_FIELDS)
};

/* 2.4.11 */
#define FILE_DISPOSITION_FIELDS(NUMBER, OCTETS) NUMBER(uint8_t, delete_pending, "DeletePending", 1, 0)

struct file_disposition_info {
    FIELDS_MEMBERS(FILE_DISPOSITION_FIELDS)
};

/* 2.4.42.2 (the form of SMB2), 2.4.28.2 */
#define FILE_RENAME_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint8_t, replace_if_exists, "ReplaceIfExists", 1, 0)                                    \
    OCTETS(reserved, "Reserved", 7, 1)                                                             \
    NUMBER(uint64_t, root_directory, "RootDirectory", 8, 8)                                        \
    NUMBER(uint32_t, file_name_length, "FileNameLength", 4, 16)

struct file_rename_info {
    FIELDS_MEMBERS(FILE_RENAME_FIELDS)
    struct span name;
};

/* 2.4.32 and others that are a name alone */
#define FILE_NAME_FIELDS(NUMBER, OCTETS) NUMBER(uint32_t, file_name_length, "FileNameLength", 4, 0)

struct file_name_info {
    FIELDS_MEMBERS(FILE_NAME_FIELDS)
    struct span name;
};

/* 2.4.2: FileBasic-, Standard-, Internal-, Ea-, Access-, Position-, Mode-, Alignment- and FileNameInformation */
#define FILE_ALL_FIELDS(NUMBER, OCTETS)                                                            \
    FILE_BASIC_FIELDS(NUMBER, OCTETS)                                                              \
    NUMBER(uint64_t, allocation_size, "AllocationSize", 8, 40)                                     \
    NUMBER(uint64_t, end_of_file, "EndOfFile", 8, 48)                                              \
    NUMBER(uint32_t, number_of_links, "NumberOfLinks", 4, 56)                                      \
    NUMBER(uint8_t, delete_pending, "DeletePending", 1, 60)                                        \
    NUMBER(uint8_t, directory, "Directory", 1, 61)                                                 \
    NUMBER(uint16_t, reserved2, "Reserved2", 2, 62)                                                \
    NUMBER(uint64_t, index_number, "IndexNumber", 8, 64)                                           \
    NUMBER(uint32_t, ea_size, "EaSize", 4, 72)                                                     \
    NUMBER(uint32_t, access_flags, "AccessFlags", 4, 76)                                           \
    NUMBER(uint64_t, current_byte_offset, "CurrentByteOffset", 8, 80)                              \
    NUMBER(uint32_t, mode, "Mode", 4, 88)                                                          \
    NUMBER(uint32_t, alignment_requirement, "AlignmentRequirement", 4, 92)                         \
    NUMBER(uint32_t, file_name_length, "FileNameLength", 4, 96)

struct file_all_info {
    FIELDS_MEMBERS(FILE_ALL_FIELDS)
    struct span name;
};

/* 2.4.34 */
#define FILE_NETWORK_OPEN_FIELDS(NUMBER, OCTETS)                                                   \
    NUMBER(uint64_t, creation_time, "CreationTime", 8, 0)                                          \
    NUMBER(uint64_t, last_access_time, "LastAccessTime", 8, 8)                                     \
    NUMBER(uint64_t, last_write_time, "LastWriteTime", 8, 16)                                      \
    NUMBER(uint64_t, change_time, "ChangeTime", 8, 24)                                             \
    NUMBER(uint64_t, allocation_size, "AllocationSize", 8, 32)                                     \
    NUMBER(uint64_t, end_of_file, "EndOfFile", 8, 40)                                              \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 48)                                     \
    NUMBER(uint32_t, reserved, "Reserved", 4, 52)

struct file_network_open_info {
    FIELDS_MEMBERS(FILE_NETWORK_OPEN_FIELDS)
};

/* 2.4.6 */
#define FILE_ATTRIBUTE_TAG_FIELDS(NUMBER, OCTETS)                                                  \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 0)                                      \
    NUMBER(uint32_t, reparse_tag, "ReparseTag", 4, 4)

struct file_attribute_tag_info {
    FIELDS_MEMBERS(FILE_ATTRIBUTE_TAG_FIELDS)
};

/* 2.4.9 */
#define FILE_COMPRESSION_FIELDS(NUMBER, OCTETS)                                                    \
    NUMBER(uint64_t, compressed_file_size, "CompressedFileSize", 8, 0)                             \
    NUMBER(uint16_t, compression_format, "CompressionFormat", 2, 8)                                \
    NUMBER(uint8_t, compression_unit_shift, "CompressionUnitShift", 1, 10)                         \
    NUMBER(uint8_t, chunk_shift, "ChunkShift", 1, 11)                                              \
    NUMBER(uint8_t, cluster_shift, "ClusterShift", 1, 12)                                          \
    OCTETS(reserved, "Reserved", 3, 13)

struct file_compression_info {
    FIELDS_MEMBERS(FILE_COMPRESSION_FIELDS)
};

/* 2.4.26 */
#define FILE_ID_FIELDS(NUMBER, OCTETS)                                                             \
    NUMBER(uint64_t, volume_serial_number, "VolumeSerialNumber", 8, 0)                             \
    OCTETS(file_id, "FileId", 16, 8)

struct file_id_info {
    FIELDS_MEMBERS(FILE_ID_FIELDS)
};

/* 2.4.49; entries of an entry_cursor */
#define FILE_STREAM_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint32_t, next_entry_offset, "NextEntryOffset", 4, 0)                                   \
    NUMBER(uint32_t, stream_name_length, "StreamNameLength", 4, 4)                                 \
    NUMBER(uint64_t, stream_size, "StreamSize", 8, 8)                                              \
    NUMBER(uint64_t, stream_allocation_size, "StreamAllocationSize", 8, 16)

struct file_stream_info {
    FIELDS_MEMBERS(FILE_STREAM_FIELDS)
    struct span name; /* such as "::$DATA" */
};

/* 2.7.1; entries of an entry_cursor */
#define FILE_NOTIFY_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint32_t, next_entry_offset, "NextEntryOffset", 4, 0)                                   \
    NUMBER(uint32_t, action, "Action", 4, 4)                                                       \
    NUMBER(uint32_t, file_name_length, "FileNameLength", 4, 8)

struct file_notify_info {
    FIELDS_MEMBERS(FILE_NOTIFY_FIELDS)
    struct span name;
};

/* 2.5.9 */
#define FS_VOLUME_FIELDS(NUMBER, OCTETS)                                                           \
    NUMBER(uint64_t, volume_creation_time, "VolumeCreationTime", 8, 0)                             \
    NUMBER(uint32_t, volume_serial_number, "VolumeSerialNumber", 4, 8)                             \
    NUMBER(uint32_t, volume_label_length, "VolumeLabelLength", 4, 12)                              \
    NUMBER(uint8_t, supports_objects, "SupportsObjects", 1, 16)                                    \
    NUMBER(uint8_t, reserved, "Reserved", 1, 17)

struct fs_volume_info {
    FIELDS_MEMBERS(FS_VOLUME_FIELDS)
    struct span label;
};

/* 2.5.8 */
#define FS_SIZE_FIELDS(NUMBER, OCTETS)                                                             \
    NUMBER(uint64_t, total_allocation_units, "TotalAllocationUnits", 8, 0)                         \
    NUMBER(uint64_t, available_allocation_units, "AvailableAllocationUnits", 8, 8)                 \
    NUMBER(uint32_t, sectors_per_allocation_unit, "SectorsPerAllocationUnit", 4, 16)               \
    NUMBER(uint32_t, bytes_per_sector, "BytesPerSector", 4, 20)

struct fs_size_info {
    FIELDS_MEMBERS(FS_SIZE_FIELDS)
};

/* 2.5.4 */
#define FS_FULL_SIZE_FIELDS(NUMBER, OCTETS)                                                        \
    NUMBER(uint64_t, total_allocation_units, "TotalAllocationUnits", 8, 0)                         \
    NUMBER(uint64_t, caller_available_allocation_units, "CallerAvailableAllocationUnits", 8, 8)    \
    NUMBER(uint64_t, actual_available_allocation_units, "ActualAvailableAllocationUnits", 8, 16)   \
    NUMBER(uint32_t, sectors_per_allocation_unit, "SectorsPerAllocationUnit", 4, 24)               \
    NUMBER(uint32_t, bytes_per_sector, "BytesPerSector", 4, 28)

struct fs_full_size_info {
    FIELDS_MEMBERS(FS_FULL_SIZE_FIELDS)
};

/* 2.5.10 */
#define FS_DEVICE_FIELDS(NUMBER, OCTETS)                                                           \
    NUMBER(uint32_t, device_type, "DeviceType", 4, 0)                                              \
    NUMBER(uint32_t, characteristics, "Characteristics", 4, 4)

struct fs_device_info {
    FIELDS_MEMBERS(FS_DEVICE_FIELDS)
};

/* 2.5.1 */
#define FS_ATTRIBUTE_FIELDS(NUMBER, OCTETS)                                                        \
    NUMBER(uint32_t, file_system_attributes, "FileSystemAttributes", 4, 0)                         \
    NUMBER(uint32_t, maximum_component_name_length, "MaximumComponentNameLength", 4, 4)            \
    NUMBER(uint32_t, file_system_name_length, "FileSystemNameLength", 4, 8)

struct fs_attribute_info {
    FIELDS_MEMBERS(FS_ATTRIBUTE_FIELDS)
    struct span name;
};

/* 2.5.6 */
#define FS_OBJECT_ID_FIELDS(NUMBER, OCTETS)                                                        \
    OCTETS(object_id, "ObjectId", 16, 0)                                                           \
    OCTETS(extended_info, "ExtendedInfo", 48, 16)

struct fs_object_id_info {
    FIELDS_MEMBERS(FS_OBJECT_ID_FIELDS)
};

/* 2.5.7 */
#define FS_SECTOR_SIZE_FIELDS(NUMBER, OCTETS)                                                                      \
    NUMBER(uint32_t, logical_bytes_per_sector, "LogicalBytesPerSector", 4, 0)                                      \
    NUMBER(uint32_t, physical_bytes_for_atomicity, "PhysicalBytesPerSectorForAtomicity", 4, 4)                     \
    NUMBER(uint32_t, physical_bytes_for_performance, "PhysicalBytesPerSectorForPerformance", 4, 8)                 \
    NUMBER(uint32_t, effective_bytes_for_atomicity, "FileSystemEffectivePhysicalBytesPerSectorForAtomicity", 4, 12) \
    NUMBER(uint32_t, flags, "Flags", 4, 16)                                                                        \
    NUMBER(uint32_t, byte_offset_for_sector_alignment, "ByteOffsetForSectorAlignment", 4, 20)                      \
    NUMBER(uint32_t, byte_offset_for_partition_alignment, "ByteOffsetForPartitionAlignment", 4, 24)

struct fs_sector_size_info {
    FIELDS_MEMBERS(FS_SECTOR_SIZE_FIELDS)
};

/* As FILE_BODIES (wire/files.h): NAME, octets of the fixed part, 0, 0, parts. */
#define INFO_BODIES(ONE, TAIL)                                                                     \
    ONE(file_basic_info, 40, 0, 0, )                                                               \
    ONE(file_standard_info, 24, 0, 0, )                                                            \
    ONE(file_number_info, 8, 0, 0, )                                                               \
    ONE(file_short_number_info, 4, 0, 0, )                                                         \
    ONE(file_disposition_info, 1, 0, 0, )                                                          \
    ONE(file_rename_info, 20, 0, 0, TAIL(file_rename_info, name, file_name_length, 1))             \
    ONE(file_name_info, 4, 0, 0, TAIL(file_name_info, name, file_name_length, 1))                  \
    ONE(file_all_info, 100, 0, 0, TAIL(file_all_info, name, file_name_length, 1))                  \
    ONE(file_network_open_info, 56, 0, 0, )                                                        \
    ONE(file_attribute_tag_info, 8, 0, 0, )                                                        \
    ONE(file_compression_info, 16, 0, 0, )                                                         \
    ONE(file_id_info, 24, 0, 0, )                                                                  \
    ONE(file_stream_info, 24, 0, 0, TAIL(file_stream_info, name, stream_name_length, 1))           \
    ONE(file_notify_info, 12, 0, 0, TAIL(file_notify_info, name, file_name_length, 1))             \
    ONE(fs_volume_info, 18, 0, 0, TAIL(fs_volume_info, label, volume_label_length, 1))             \
    ONE(fs_size_info, 24, 0, 0, )                                                                  \
    ONE(fs_full_size_info, 32, 0, 0, )                                                             \
    ONE(fs_device_info, 8, 0, 0, )                                                                 \
    ONE(fs_attribute_info, 12, 0, 0, TAIL(fs_attribute_info, name, file_system_name_length, 1))    \
    ONE(fs_object_id_info, 64, 0, 0, )                                                             \
    ONE(fs_sector_size_info, 28, 0, 0, )

#define INFO_NO_TAIL(name, span, length, unit)
#define INFO_ONE_DECLARE(name, size, structure_size, least, parts) LAYOUT_DECLARE(name)
INFO_BODIES(INFO_ONE_DECLARE, INFO_NO_TAIL)
#undef INFO_ONE_DECLARE

/* One entry of a directory, in any of the six classes that list one (2.4.10, 2.4.19, 2.4.8, 2.4.22, 2.4.23, 2.4.33).
 * What a class does not have is zero. */
struct directory_entry {
    uint32_t next_entry_offset, file_index;
    uint64_t creation_time, last_access_time, last_write_time, change_time, end_of_file, allocation_size;
    uint32_t file_attributes, file_name_length, ea_size;
    uint8_t short_name_length;
    uint8_t short_name[24]; /* UTF-16LE */
    uint64_t file_id;
    struct span name;
};

/* Octets of an entry's fixed part; 0 where the class lists no directory. */
size_t directory_entry_size(enum file_info_class info_class);
/* Decodes an entry of an entry_cursor. */
bool directory_entry_decode(enum file_info_class info_class, struct span octets, struct directory_entry *entry);
/* Writes one with FileNameLength from its name; begin it with entry_begin(), which sees to NextEntryOffset. */
void directory_entry_encode(enum file_info_class info_class, const struct directory_entry *entry,
                            struct writer *writer);

/* FILETIME to and from seconds since 1970 and the nanoseconds beside them; rounded down to 100 ns. Times that FILETIME
 * cannot hold become the nearest that it can. */
#define FILETIME_PER_SECOND 10000000
void filetime_split(uint64_t filetime, int64_t *seconds, int32_t *nanoseconds);
uint64_t filetime_join(int64_t seconds, int32_t nanoseconds);

#endif
