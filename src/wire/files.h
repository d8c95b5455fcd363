/* The messages of a connected tree: files, directories, their information, locks and breaks.
 *
 * Decoders take a message from its protocol id; message_decode() leaves these bodies alone (it yields
 * MESSAGE_OTHER_REQUEST and MESSAGE_OTHER_RESPONSE), so only those who want a body pay for it. Encoders write the body
 * alone, behind a header that stands in front of it. `..._place` sets StructureSize, offsets and lengths from the
 * spans, as this project sends them. TREE_DISCONNECT, ECHO, CANCEL and FLUSH's response are struct empty_body.
 *
 * Sections are those of [MS-SMB2] unless said otherwise. Spans borrow from the message. */
#ifndef SMBPROOF_WIRE_FILES_H
#define SMBPROOF_WIRE_FILES_H

#include "wire/layout.h"
#include "wire/messages.h"

#define FILE_ID_SIZE 16u

/* 2.2.13.1 and [MS-DTYP] 2.4.3 */
enum access_mask {
    FILE_READ_DATA = 0x00000001, /* FILE_LIST_DIRECTORY of a directory */
    FILE_WRITE_DATA = 0x00000002, /* FILE_ADD_FILE */
    FILE_APPEND_DATA = 0x00000004, /* FILE_ADD_SUBDIRECTORY */
    FILE_READ_EA = 0x00000008,
    FILE_WRITE_EA = 0x00000010,
    FILE_EXECUTE = 0x00000020, /* FILE_TRAVERSE */
    FILE_DELETE_CHILD = 0x00000040,
    FILE_READ_ATTRIBUTES = 0x00000080,
    FILE_WRITE_ATTRIBUTES = 0x00000100,
    ACCESS_DELETE = 0x00010000,
    ACCESS_READ_CONTROL = 0x00020000,
    ACCESS_WRITE_DAC = 0x00040000,
    ACCESS_WRITE_OWNER = 0x00080000,
    ACCESS_SYNCHRONIZE = 0x00100000,
    ACCESS_SYSTEM_SECURITY = 0x01000000,
    ACCESS_MAXIMUM_ALLOWED = 0x02000000,
    ACCESS_GENERIC_ALL = 0x10000000,
    ACCESS_GENERIC_EXECUTE = 0x20000000,
    ACCESS_GENERIC_WRITE = 0x40000000,
};
#define ACCESS_GENERIC_READ 0x80000000u

enum share_access { FILE_SHARE_READ = 1, FILE_SHARE_WRITE = 2, FILE_SHARE_DELETE = 4 };
#define FILE_SHARE_ALL 7u

enum create_disposition {
    FILE_SUPERSEDE,
    FILE_OPEN,
    FILE_CREATE,
    FILE_OPEN_IF,
    FILE_OVERWRITE,
    FILE_OVERWRITE_IF,
};

enum create_option {
    FILE_DIRECTORY_FILE = 0x00000001,
    FILE_WRITE_THROUGH = 0x00000002,
    FILE_SEQUENTIAL_ONLY = 0x00000004,
    FILE_NO_INTERMEDIATE_BUFFERING = 0x00000008,
    FILE_SYNCHRONOUS_IO_ALERT = 0x00000010,
    FILE_SYNCHRONOUS_IO_NONALERT = 0x00000020,
    FILE_NON_DIRECTORY_FILE = 0x00000040,
    FILE_COMPLETE_IF_OPLOCKED = 0x00000100,
    FILE_NO_EA_KNOWLEDGE = 0x00000200,
    FILE_RANDOM_ACCESS = 0x00000800,
    FILE_DELETE_ON_CLOSE = 0x00001000,
    FILE_OPEN_BY_FILE_ID = 0x00002000,
    FILE_OPEN_FOR_BACKUP_INTENT = 0x00004000,
    FILE_NO_COMPRESSION = 0x00008000,
    FILE_OPEN_REPARSE_POINT = 0x00200000,
    FILE_OPEN_NO_RECALL = 0x00400000,
};

enum create_action { CREATED_SUPERSEDED, CREATED_OPENED, CREATED_NEW, CREATED_OVERWRITTEN };
#define IMPERSONATION_LEVEL_IMPERSONATION 2u

enum oplock_level {
    OPLOCK_LEVEL_NONE = 0x00,
    OPLOCK_LEVEL_II = 0x01,
    OPLOCK_LEVEL_EXCLUSIVE = 0x08,
    OPLOCK_LEVEL_BATCH = 0x09,
    OPLOCK_LEVEL_LEASE = 0xff,
};

/* [MS-FSCC] 2.6 */
enum file_attribute {
    FILE_ATTRIBUTE_READONLY = 0x00000001,
    FILE_ATTRIBUTE_HIDDEN = 0x00000002,
    FILE_ATTRIBUTE_SYSTEM = 0x00000004,
    FILE_ATTRIBUTE_DIRECTORY = 0x00000010,
    FILE_ATTRIBUTE_ARCHIVE = 0x00000020,
    FILE_ATTRIBUTE_NORMAL = 0x00000080,
    FILE_ATTRIBUTE_TEMPORARY = 0x00000100,
    FILE_ATTRIBUTE_SPARSE_FILE = 0x00000200,
    FILE_ATTRIBUTE_REPARSE_POINT = 0x00000400,
    FILE_ATTRIBUTE_COMPRESSED = 0x00000800,
    FILE_ATTRIBUTE_OFFLINE = 0x00001000,
    FILE_ATTRIBUTE_NOT_CONTENT_INDEXED = 0x00002000,
    FILE_ATTRIBUTE_ENCRYPTED = 0x00004000,
};

enum close_flag { CLOSE_FLAG_POSTQUERY_ATTRIB = 1 };
enum lock_flag { LOCK_SHARED = 1, LOCK_EXCLUSIVE = 2, LOCK_UNLOCK = 4, LOCK_FAIL_IMMEDIATELY = 16 };
enum query_directory_flag {
    QUERY_DIRECTORY_RESTART_SCANS = 0x01,
    QUERY_DIRECTORY_RETURN_SINGLE_ENTRY = 0x02,
    QUERY_DIRECTORY_INDEX_SPECIFIED = 0x04,
    QUERY_DIRECTORY_REOPEN = 0x10,
};
enum change_notify_flag { CHANGE_NOTIFY_WATCH_TREE = 1 };
enum info_type { INFO_FILE = 1, INFO_FILESYSTEM = 2, INFO_SECURITY = 3, INFO_QUOTA = 4 };

/* 2.2.13 */
#define CREATE_REQUEST_FIELDS(NUMBER, OCTETS)                                                      \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, security_flags, "SecurityFlags", 1, 2)                                         \
    NUMBER(uint8_t, requested_oplock_level, "RequestedOplockLevel", 1, 3)                          \
    NUMBER(uint32_t, impersonation_level, "ImpersonationLevel", 4, 4)                              \
    NUMBER(uint64_t, smb_create_flags, "SmbCreateFlags", 8, 8)                                     \
    NUMBER(uint64_t, reserved, "Reserved", 8, 16)                                                  \
    NUMBER(uint32_t, desired_access, "DesiredAccess", 4, 24)                                       \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 28)                                     \
    NUMBER(uint32_t, share_access, "ShareAccess", 4, 32)                                           \
    NUMBER(uint32_t, create_disposition, "CreateDisposition", 4, 36)                               \
    NUMBER(uint32_t, create_options, "CreateOptions", 4, 40)                                       \
    NUMBER(uint16_t, name_offset, "NameOffset", 2, 44)                                             \
    NUMBER(uint16_t, name_length, "NameLength", 2, 46)                                             \
    NUMBER(uint32_t, create_contexts_offset, "CreateContextsOffset", 4, 48)                        \
    NUMBER(uint32_t, create_contexts_length, "CreateContextsLength", 4, 52)

struct create_request {
    FIELDS_MEMBERS(CREATE_REQUEST_FIELDS)
    struct span name;     /* UTF-16LE, from the share's root, without a leading separator */
    struct span contexts; /* see create_context below */
};

/* 2.2.14 */
#define CREATE_RESPONSE_FIELDS(NUMBER, OCTETS)                                                     \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, oplock_level, "OplockLevel", 1, 2)                                             \
    NUMBER(uint8_t, flags, "Flags", 1, 3)                                                          \
    NUMBER(uint32_t, create_action, "CreateAction", 4, 4)                                          \
    NUMBER(uint64_t, creation_time, "CreationTime", 8, 8)                                          \
    NUMBER(uint64_t, last_access_time, "LastAccessTime", 8, 16)                                    \
    NUMBER(uint64_t, last_write_time, "LastWriteTime", 8, 24)                                      \
    NUMBER(uint64_t, change_time, "ChangeTime", 8, 32)                                             \
    NUMBER(uint64_t, allocation_size, "AllocationSize", 8, 40)                                     \
    NUMBER(uint64_t, end_of_file, "EndofFile", 8, 48)                                              \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 56)                                     \
    NUMBER(uint32_t, reserved2, "Reserved2", 4, 60)                                                \
    OCTETS(file_id, "FileId", 16, 64)                                                              \
    NUMBER(uint32_t, create_contexts_offset, "CreateContextsOffset", 4, 80)                        \
    NUMBER(uint32_t, create_contexts_length, "CreateContextsLength", 4, 84)

struct create_response {
    FIELDS_MEMBERS(CREATE_RESPONSE_FIELDS)
    struct span contexts;
};

/* 2.2.15 */
#define CLOSE_REQUEST_FIELDS(NUMBER, OCTETS)                                                       \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, flags, "Flags", 2, 2)                                                         \
    NUMBER(uint32_t, reserved, "Reserved", 4, 4)                                                   \
    OCTETS(file_id, "FileId", 16, 8)

struct close_request {
    FIELDS_MEMBERS(CLOSE_REQUEST_FIELDS)
};

/* 2.2.16 */
#define CLOSE_RESPONSE_FIELDS(NUMBER, OCTETS)                                                      \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, flags, "Flags", 2, 2)                                                         \
    NUMBER(uint32_t, reserved, "Reserved", 4, 4)                                                   \
    NUMBER(uint64_t, creation_time, "CreationTime", 8, 8)                                          \
    NUMBER(uint64_t, last_access_time, "LastAccessTime", 8, 16)                                    \
    NUMBER(uint64_t, last_write_time, "LastWriteTime", 8, 24)                                      \
    NUMBER(uint64_t, change_time, "ChangeTime", 8, 32)                                             \
    NUMBER(uint64_t, allocation_size, "AllocationSize", 8, 40)                                     \
    NUMBER(uint64_t, end_of_file, "EndofFile", 8, 48)                                              \
    NUMBER(uint32_t, file_attributes, "FileAttributes", 4, 56)

struct close_response {
    FIELDS_MEMBERS(CLOSE_RESPONSE_FIELDS)
};

/* 2.2.17 */
#define FLUSH_REQUEST_FIELDS(NUMBER, OCTETS)                                                       \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, reserved1, "Reserved1", 2, 2)                                                 \
    NUMBER(uint32_t, reserved2, "Reserved2", 4, 4)                                                 \
    OCTETS(file_id, "FileId", 16, 8)

struct flush_request {
    FIELDS_MEMBERS(FLUSH_REQUEST_FIELDS)
};

/* 2.2.19 */
#define READ_REQUEST_FIELDS(NUMBER, OCTETS)                                                        \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, padding, "Padding", 1, 2)                                                      \
    NUMBER(uint8_t, flags, "Flags", 1, 3)                                                          \
    NUMBER(uint32_t, length, "Length", 4, 4)                                                       \
    NUMBER(uint64_t, offset, "Offset", 8, 8)                                                       \
    OCTETS(file_id, "FileId", 16, 16)                                                              \
    NUMBER(uint32_t, minimum_count, "MinimumCount", 4, 32)                                         \
    NUMBER(uint32_t, channel, "Channel", 4, 36)                                                    \
    NUMBER(uint32_t, remaining_bytes, "RemainingBytes", 4, 40)                                     \
    NUMBER(uint16_t, read_channel_info_offset, "ReadChannelInfoOffset", 2, 44)                     \
    NUMBER(uint16_t, read_channel_info_length, "ReadChannelInfoLength", 2, 46)

struct read_request {
    FIELDS_MEMBERS(READ_REQUEST_FIELDS)
    struct span channel_info;
};

/* 2.2.20 */
#define READ_RESPONSE_FIELDS(NUMBER, OCTETS)                                                       \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, data_offset, "DataOffset", 1, 2)                                               \
    NUMBER(uint8_t, reserved, "Reserved", 1, 3)                                                    \
    NUMBER(uint32_t, data_length, "DataLength", 4, 4)                                              \
    NUMBER(uint32_t, data_remaining, "DataRemaining", 4, 8)                                        \
    NUMBER(uint32_t, flags, "Flags", 4, 12)

struct read_response {
    FIELDS_MEMBERS(READ_RESPONSE_FIELDS)
    struct span data;
};

/* 2.2.21 */
#define WRITE_REQUEST_FIELDS(NUMBER, OCTETS)                                                       \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, data_offset, "DataOffset", 2, 2)                                              \
    NUMBER(uint32_t, length, "Length", 4, 4)                                                       \
    NUMBER(uint64_t, offset, "Offset", 8, 8)                                                       \
    OCTETS(file_id, "FileId", 16, 16)                                                              \
    NUMBER(uint32_t, channel, "Channel", 4, 32)                                                    \
    NUMBER(uint32_t, remaining_bytes, "RemainingBytes", 4, 36)                                     \
    NUMBER(uint16_t, write_channel_info_offset, "WriteChannelInfoOffset", 2, 40)                   \
    NUMBER(uint16_t, write_channel_info_length, "WriteChannelInfoLength", 2, 42)                   \
    NUMBER(uint32_t, flags, "Flags", 4, 44)

struct write_request {
    FIELDS_MEMBERS(WRITE_REQUEST_FIELDS)
    struct span data;
};
/* Where the data of a WRITE request begins, from the protocol id, as this project sends it. */
#define WRITE_REQUEST_DATA_AT (SMB2_HEADER_SIZE + 48u)

/* 2.2.22 */
#define WRITE_RESPONSE_FIELDS(NUMBER, OCTETS)                                                      \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, reserved, "Reserved", 2, 2)                                                   \
    NUMBER(uint32_t, count, "Count", 4, 4)                                                         \
    NUMBER(uint32_t, remaining, "Remaining", 4, 8)                                                 \
    NUMBER(uint16_t, write_channel_info_offset, "WriteChannelInfoOffset", 2, 12)                   \
    NUMBER(uint16_t, write_channel_info_length, "WriteChannelInfoLength", 2, 14)

struct write_response {
    FIELDS_MEMBERS(WRITE_RESPONSE_FIELDS)
};

/* 2.2.26; the response is struct empty_body (2.2.27) */
#define LOCK_REQUEST_FIELDS(NUMBER, OCTETS)                                                        \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, lock_count, "LockCount", 2, 2)                                                \
    NUMBER(uint32_t, lock_sequence, "LockSequenceNumber", 4, 4)                                    \
    OCTETS(file_id, "FileId", 16, 8)

struct lock_request {
    FIELDS_MEMBERS(LOCK_REQUEST_FIELDS)
    struct span locks; /* `lock_count` struct lock_element, LOCK_ELEMENT_SIZE octets each */
};

/* 2.2.26.1 */
#define LOCK_ELEMENT_SIZE 24u
#define LOCK_ELEMENT_FIELDS(NUMBER, OCTETS)                                                        \
    NUMBER(uint64_t, offset, "Offset", 8, 0)                                                       \
    NUMBER(uint64_t, length, "Length", 8, 8)                                                       \
    NUMBER(uint32_t, flags, "Flags", 4, 16)                                                        \
    NUMBER(uint32_t, reserved, "Reserved", 4, 20)

struct lock_element {
    FIELDS_MEMBERS(LOCK_ELEMENT_FIELDS)
};

/* 2.2.33 */
#define QUERY_DIRECTORY_REQUEST_FIELDS(NUMBER, OCTETS)                                             \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, file_information_class, "FileInformationClass", 1, 2)                          \
    NUMBER(uint8_t, flags, "Flags", 1, 3)                                                          \
    NUMBER(uint32_t, file_index, "FileIndex", 4, 4)                                                \
    OCTETS(file_id, "FileId", 16, 8)                                                               \
    NUMBER(uint16_t, file_name_offset, "FileNameOffset", 2, 24)                                    \
    NUMBER(uint16_t, file_name_length, "FileNameLength", 2, 26)                                    \
    NUMBER(uint32_t, output_buffer_length, "OutputBufferLength", 4, 28)

struct query_directory_request {
    FIELDS_MEMBERS(QUERY_DIRECTORY_REQUEST_FIELDS)
    struct span pattern; /* UTF-16LE */
};

/* 2.2.35 */
#define CHANGE_NOTIFY_REQUEST_FIELDS(NUMBER, OCTETS)                                               \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, flags, "Flags", 2, 2)                                                         \
    NUMBER(uint32_t, output_buffer_length, "OutputBufferLength", 4, 4)                             \
    OCTETS(file_id, "FileId", 16, 8)                                                               \
    NUMBER(uint32_t, completion_filter, "CompletionFilter", 4, 24)                                 \
    NUMBER(uint32_t, reserved, "Reserved", 4, 28)

struct change_notify_request {
    FIELDS_MEMBERS(CHANGE_NOTIFY_REQUEST_FIELDS)
};

/* 2.2.37 */
#define QUERY_INFO_REQUEST_FIELDS(NUMBER, OCTETS)                                                  \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, info_type, "InfoType", 1, 2)                                                   \
    NUMBER(uint8_t, file_info_class, "FileInfoClass", 1, 3)                                        \
    NUMBER(uint32_t, output_buffer_length, "OutputBufferLength", 4, 4)                             \
    NUMBER(uint16_t, input_buffer_offset, "InputBufferOffset", 2, 8)                               \
    NUMBER(uint16_t, reserved, "Reserved", 2, 10)                                                  \
    NUMBER(uint32_t, input_buffer_length, "InputBufferLength", 4, 12)                              \
    NUMBER(uint32_t, additional_information, "AdditionalInformation", 4, 16)                       \
    NUMBER(uint32_t, flags, "Flags", 4, 20)                                                        \
    OCTETS(file_id, "FileId", 16, 24)

struct query_info_request {
    FIELDS_MEMBERS(QUERY_INFO_REQUEST_FIELDS)
    struct span input;
};

/* 2.2.34, 2.2.36, 2.2.38: QUERY_DIRECTORY, CHANGE_NOTIFY and QUERY_INFO answer alike. */
#define OUTPUT_RESPONSE_FIELDS(NUMBER, OCTETS)                                                     \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, output_buffer_offset, "OutputBufferOffset", 2, 2)                             \
    NUMBER(uint32_t, output_buffer_length, "OutputBufferLength", 4, 4)

struct output_response {
    FIELDS_MEMBERS(OUTPUT_RESPONSE_FIELDS)
    struct span output;
};

/* 2.2.39 */
#define SET_INFO_REQUEST_FIELDS(NUMBER, OCTETS)                                                    \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, info_type, "InfoType", 1, 2)                                                   \
    NUMBER(uint8_t, file_info_class, "FileInfoClass", 1, 3)                                        \
    NUMBER(uint32_t, buffer_length, "BufferLength", 4, 4)                                          \
    NUMBER(uint16_t, buffer_offset, "BufferOffset", 2, 8)                                          \
    NUMBER(uint16_t, reserved, "Reserved", 2, 10)                                                  \
    NUMBER(uint32_t, additional_information, "AdditionalInformation", 4, 12)                       \
    OCTETS(file_id, "FileId", 16, 16)

struct set_info_request {
    FIELDS_MEMBERS(SET_INFO_REQUEST_FIELDS)
    struct span buffer;
};

/* 2.2.40 */
#define SET_INFO_RESPONSE_FIELDS(NUMBER, OCTETS) NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)

struct set_info_response {
    FIELDS_MEMBERS(SET_INFO_RESPONSE_FIELDS)
};

/* 2.2.23.1, 2.2.24.1, 2.2.25.1: notification, acknowledgment and response */
#define OPLOCK_BREAK_FIELDS(NUMBER, OCTETS)                                                        \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, oplock_level, "OplockLevel", 1, 2)                                             \
    NUMBER(uint8_t, reserved, "Reserved", 1, 3)                                                    \
    NUMBER(uint32_t, reserved2, "Reserved2", 4, 4)                                                 \
    OCTETS(file_id, "FileId", 16, 8)

struct oplock_break {
    FIELDS_MEMBERS(OPLOCK_BREAK_FIELDS)
};

/* 2.2.23.2 */
#define LEASE_BREAK_NOTIFICATION_FIELDS(NUMBER, OCTETS)                                            \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, new_epoch, "NewEpoch", 2, 2)                                                  \
    NUMBER(uint32_t, flags, "Flags", 4, 4)                                                         \
    OCTETS(lease_key, "LeaseKey", 16, 8)                                                           \
    NUMBER(uint32_t, current_lease_state, "CurrentLeaseState", 4, 24)                              \
    NUMBER(uint32_t, new_lease_state, "NewLeaseState", 4, 28)                                      \
    NUMBER(uint32_t, break_reason, "BreakReason", 4, 32)                                           \
    NUMBER(uint32_t, access_mask_hint, "AccessMaskHint", 4, 36)                                    \
    NUMBER(uint32_t, share_mask_hint, "ShareMaskHint", 4, 40)

struct lease_break_notification {
    FIELDS_MEMBERS(LEASE_BREAK_NOTIFICATION_FIELDS)
};

/* 2.2.24.2, 2.2.25.2: acknowledgment and response */
#define LEASE_BREAK_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, reserved, "Reserved", 2, 2)                                                   \
    NUMBER(uint32_t, flags, "Flags", 4, 4)                                                         \
    OCTETS(lease_key, "LeaseKey", 16, 8)                                                           \
    NUMBER(uint32_t, lease_state, "LeaseState", 4, 24)                                             \
    NUMBER(uint64_t, lease_duration, "LeaseDuration", 8, 28)

struct lease_break {
    FIELDS_MEMBERS(LEASE_BREAK_FIELDS)
};

/* NAME, octets of the fixed part, StructureSize, octets that follow at least, parts. A part is PART(NAME, span, length
 * member, unit, offset member, alignment) or, where it follows directly, TAIL(NAME, span, length member, unit). Some
 * StructureSizes are odd and have one octet of the variable part in them, which CREATE and READ really demand. */
#define FILE_BODIES(ONE, PART, TAIL)                                                                                   \
    ONE(create_request, 56, 57, 1, PART(create_request, name, name_length, 1, name_offset, 8)                          \
        PART(create_request, contexts, create_contexts_length, 1, create_contexts_offset, 8))                          \
    ONE(create_response, 88, 89, 0,                                                                                    \
        PART(create_response, contexts, create_contexts_length, 1, create_contexts_offset, 8))                         \
    ONE(close_request, 24, 24, 0, )                                                                                    \
    ONE(close_response, 60, 60, 0, )                                                                                   \
    ONE(flush_request, 24, 24, 0, )                                                                                    \
    ONE(read_request, 48, 49, 1,                                                                                       \
        PART(read_request, channel_info, read_channel_info_length, 1, read_channel_info_offset, 1))                    \
    ONE(read_response, 16, 17, 0, PART(read_response, data, data_length, 1, data_offset, 1))                           \
    ONE(write_request, 48, 49, 0, PART(write_request, data, length, 1, data_offset, 1))                                \
    ONE(write_response, 16, 17, 0, )                                                                                   \
    ONE(lock_request, 24, 48, 0, TAIL(lock_request, locks, lock_count, LOCK_ELEMENT_SIZE))                             \
    ONE(query_directory_request, 32, 33, 0,                                                                            \
        PART(query_directory_request, pattern, file_name_length, 1, file_name_offset, 2))                              \
    ONE(change_notify_request, 32, 32, 0, )                                                                            \
    ONE(query_info_request, 40, 41, 0,                                                                                 \
        PART(query_info_request, input, input_buffer_length, 1, input_buffer_offset, 8))                               \
    ONE(output_response, 8, 9, 0, PART(output_response, output, output_buffer_length, 1, output_buffer_offset, 8))     \
    ONE(set_info_request, 32, 33, 0, PART(set_info_request, buffer, buffer_length, 1, buffer_offset, 8))               \
    ONE(set_info_response, 2, 2, 0, )                                                                                  \
    ONE(oplock_break, 24, 24, 0, )                                                                                     \
    ONE(lease_break_notification, 44, 44, 0, )                                                                         \
    ONE(lease_break, 36, 36, 0, )

#define FILES_NO_PART(name, span, length, unit, offset, alignment)
#define FILES_NO_TAIL(name, span, length, unit)
#define FILES_ONE_DECLARE(name, size, structure_size, least, parts) LAYOUT_DECLARE(name)
FILE_BODIES(FILES_ONE_DECLARE, FILES_NO_PART, FILES_NO_TAIL)
#undef FILES_ONE_DECLARE

/* The i-th lock of a request; false past the end. */
FIELDS_DECLARE(lock_element)
bool lock_element_at(const struct lock_request *request, unsigned i, struct lock_element *element);
void lock_element_encode(const struct lock_element *element, struct writer *writer);

/* 2.2.13.2, 2.2.14.2: one create context. */
struct create_context {
    struct span name; /* four letters such as "MxAc", or a GUID */
    struct span data;
};

/* Decodes one entry of an entry_cursor over the contexts. False where name or data lie outside of it, or overlap. */
bool create_context_decode(struct span entry, struct create_context *context);
/* Writes one; `start` and `previous` as for entry_begin(). */
void create_context_encode(const struct create_context *context, struct writer *writer, size_t start, size_t *previous);
/* The data of the first context of that name; false where there is none. */
bool create_context_find(struct span contexts, const char *name, struct span *data);

#endif
