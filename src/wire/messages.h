/* The messages: field lists, the structs that they yield, and the numbers of the protocol.
 *
 * Sections are those of [MS-SMB2] unless said otherwise. Spans point into the decoded message. */
#ifndef SMBPROOF_WIRE_MESSAGES_H
#define SMBPROOF_WIRE_MESSAGES_H

#include <string.h>

#include "wire/bytes.h"
#include "wire/fields.h"

#define SMB2_HEADER_SIZE              64u
#define TRANSFORM_HEADER_SIZE         52u
#define COMPRESSION_HEADER_SIZE       16u
#define SMB1_HEADER_SIZE              32u
#define VALIDATE_RESPONSE_SIZE        24u
#define FSCTL_VALIDATE_NEGOTIATE_INFO 0x00140204u

enum smb2_flag {
    SMB2_FLAGS_SERVER_TO_REDIR = 0x00000001,
    SMB2_FLAGS_ASYNC_COMMAND = 0x00000002,
    SMB2_FLAGS_RELATED_OPERATIONS = 0x00000004,
    SMB2_FLAGS_SIGNED = 0x00000008,
    SMB2_FLAGS_PRIORITY_MASK = 0x00000070,
    SMB2_FLAGS_DFS_OPERATIONS = 0x10000000,
    SMB2_FLAGS_REPLAY_OPERATION = 0x20000000,
};

enum smb2_dialect {
    SMB2_DIALECT_202 = 0x0202,
    SMB2_DIALECT_210 = 0x0210,
    SMB2_DIALECT_WILDCARD = 0x02ff, /* "SMB 2.???": never final */
    SMB2_DIALECT_300 = 0x0300,
    SMB2_DIALECT_302 = 0x0302,
    SMB2_DIALECT_311 = 0x0311,
};

enum smb2_security_mode { SMB2_SIGNING_ENABLED = 0x0001, SMB2_SIGNING_REQUIRED = 0x0002 };

enum smb2_capability {
    SMB2_GLOBAL_CAP_DFS = 0x01,
    SMB2_GLOBAL_CAP_LEASING = 0x02,
    SMB2_GLOBAL_CAP_LARGE_MTU = 0x04,
    SMB2_GLOBAL_CAP_MULTI_CHANNEL = 0x08,
    SMB2_GLOBAL_CAP_PERSISTENT_HANDLES = 0x10,
    SMB2_GLOBAL_CAP_DIRECTORY_LEASING = 0x20,
    SMB2_GLOBAL_CAP_ENCRYPTION = 0x40,
    SMB2_GLOBAL_CAP_NOTIFICATIONS = 0x80,
};

enum negotiate_context_type {
    CONTEXT_PREAUTH_INTEGRITY = 0x0001,
    CONTEXT_ENCRYPTION = 0x0002,
    CONTEXT_COMPRESSION = 0x0003,
    CONTEXT_NETNAME = 0x0005,
    CONTEXT_TRANSPORT = 0x0006,
    CONTEXT_RDMA_TRANSFORM = 0x0007,
    CONTEXT_SIGNING = 0x0008,
};

enum smb2_compression {
    COMPRESSION_NONE,
    COMPRESSION_LZNT1,
    COMPRESSION_LZ77,
    COMPRESSION_LZ77_HUFFMAN,
    COMPRESSION_PATTERN_V1,
    COMPRESSION_LZ4,
};
enum smb2_hash { HASH_SHA512 = 1 };
enum smb2_cipher {
    CIPHER_NONE,
    CIPHER_AES_128_CCM,
    CIPHER_AES_128_GCM,
    CIPHER_AES_256_CCM,
    CIPHER_AES_256_GCM
};
enum smb2_signing { SIGNING_HMAC_SHA256, SIGNING_AES_CMAC, SIGNING_AES_GMAC };
enum smb2_share_flag { SMB2_SHAREFLAG_ENCRYPT_DATA = 0x00008000 };
enum smb2_session_flag {
    SESSION_FLAG_IS_GUEST = 1,
    SESSION_FLAG_IS_NULL = 2,
    SESSION_FLAG_ENCRYPT_DATA = 4
};

/* NTSTATUS, [MS-ERREF] 2.3: NTSTATUS_LIST(ONE) with ONE(name, value). */
#define NTSTATUS_LIST(ONE)                                                                         \
    ONE(SUCCESS, 0x00000000u)                                                                      \
    ONE(PENDING, 0x00000103u)                                                                      \
    ONE(NOTIFY_CLEANUP, 0x0000010bu)                                                               \
    ONE(NOTIFY_ENUM_DIR, 0x0000010cu)                                                              \
    ONE(BUFFER_OVERFLOW, 0x80000005u)                                                              \
    ONE(NO_MORE_EAS, 0x80000012u)                                                                  \
    ONE(INVALID_EA_NAME, 0x80000013u)                                                              \
    ONE(NO_MORE_FILES, 0x80000006u)                                                                \
    ONE(STOPPED_ON_SYMLINK, 0x8000002du)                                                           \
    ONE(UNSUCCESSFUL, 0xc0000001u)                                                                 \
    ONE(NOT_IMPLEMENTED, 0xc0000002u)                                                              \
    ONE(INVALID_INFO_CLASS, 0xc0000003u)                                                           \
    ONE(INFO_LENGTH_MISMATCH, 0xc0000004u)                                                         \
    ONE(INVALID_HANDLE, 0xc0000008u)                                                               \
    ONE(INVALID_PARAMETER, 0xc000000du)                                                            \
    ONE(NO_SUCH_DEVICE, 0xc000000eu)                                                               \
    ONE(NO_SUCH_FILE, 0xc000000fu)                                                                 \
    ONE(INVALID_DEVICE_REQUEST, 0xc0000010u)                                                       \
    ONE(INVALID_VIEW_SIZE, 0xc000001fu)                                                            \
    ONE(END_OF_FILE, 0xc0000011u)                                                                  \
    ONE(MORE_PROCESSING_REQUIRED, 0xc0000016u)                                                     \
    ONE(ACCESS_DENIED, 0xc0000022u)                                                                \
    ONE(BUFFER_TOO_SMALL, 0xc0000023u)                                                             \
    ONE(OBJECT_NAME_INVALID, 0xc0000033u)                                                          \
    ONE(OBJECT_NAME_NOT_FOUND, 0xc0000034u)                                                        \
    ONE(OBJECT_NAME_COLLISION, 0xc0000035u)                                                        \
    ONE(OBJECT_PATH_INVALID, 0xc0000039u)                                                          \
    ONE(OBJECT_PATH_NOT_FOUND, 0xc000003au)                                                        \
    ONE(OBJECT_PATH_SYNTAX_BAD, 0xc000003bu)                                                       \
    ONE(SHARING_VIOLATION, 0xc0000043u)                                                            \
    ONE(QUOTA_EXCEEDED, 0xc0000044u)                                                               \
    ONE(EAS_NOT_SUPPORTED, 0xc000004fu)                                                            \
    ONE(NO_EAS_ON_FILE, 0xc0000052u)                                                               \
    ONE(FILE_LOCK_CONFLICT, 0xc0000054u)                                                           \
    ONE(LOCK_NOT_GRANTED, 0xc0000055u)                                                             \
    ONE(DELETE_PENDING, 0xc0000056u)                                                               \
    ONE(PRIVILEGE_NOT_HELD, 0xc0000061u)                                                           \
    ONE(NO_SUCH_USER, 0xc0000064u)                                                                 \
    ONE(WRONG_PASSWORD, 0xc000006au)                                                               \
    ONE(LOGON_FAILURE, 0xc000006du)                                                                \
    ONE(ACCOUNT_RESTRICTION, 0xc000006eu)                                                          \
    ONE(INVALID_LOGON_HOURS, 0xc000006fu)                                                          \
    ONE(INVALID_WORKSTATION, 0xc0000070u)                                                          \
    ONE(PASSWORD_EXPIRED, 0xc0000071u)                                                             \
    ONE(ACCOUNT_DISABLED, 0xc0000072u)                                                             \
    ONE(INVALID_SECURITY_DESCR, 0xc0000079u)                                                       \
    ONE(RANGE_NOT_LOCKED, 0xc000007eu)                                                             \
    ONE(DISK_FULL, 0xc000007fu)                                                                    \
    ONE(INSUFFICIENT_RESOURCES, 0xc000009au)                                                       \
    ONE(MEDIA_WRITE_PROTECTED, 0xc00000a2u)                                                        \
    ONE(BAD_IMPERSONATION_LEVEL, 0xc00000a5u)                                                      \
    ONE(PIPE_NOT_AVAILABLE, 0xc00000acu)                                                           \
    ONE(PIPE_DISCONNECTED, 0xc00000b0u)                                                            \
    ONE(IO_TIMEOUT, 0xc00000b5u)                                                                   \
    ONE(FILE_IS_A_DIRECTORY, 0xc00000bau)                                                          \
    ONE(NOT_SUPPORTED, 0xc00000bbu)                                                                \
    ONE(INVALID_NETWORK_RESPONSE, 0xc00000c3u)                                                     \
    ONE(NETWORK_NAME_DELETED, 0xc00000c9u)                                                         \
    ONE(BAD_NETWORK_NAME, 0xc00000ccu)                                                             \
    ONE(REQUEST_NOT_ACCEPTED, 0xc00000d0u)                                                         \
    ONE(NOT_SAME_DEVICE, 0xc00000d4u)                                                              \
    ONE(FILE_RENAMED, 0xc00000d5u)                                                                 \
    ONE(VIRTUAL_CIRCUIT_CLOSED, 0xc00000d6u)                                                       \
    ONE(INVALID_OPLOCK_PROTOCOL, 0xc00000e3u)                                                      \
    ONE(INTERNAL_ERROR, 0xc00000e5u)                                                               \
    ONE(DIRECTORY_NOT_EMPTY, 0xc0000101u)                                                          \
    ONE(NOT_A_DIRECTORY, 0xc0000103u)                                                              \
    ONE(NAME_TOO_LONG, 0xc0000106u)                                                                \
    ONE(TOO_MANY_OPENED_FILES, 0xc000011fu)                                                        \
    ONE(CANCELLED, 0xc0000120u)                                                                    \
    ONE(CANNOT_DELETE, 0xc0000121u)                                                                \
    ONE(FILE_DELETED, 0xc0000123u)                                                                 \
    ONE(FILE_CLOSED, 0xc0000128u)                                                                  \
    ONE(INVALID_LEVEL, 0xc0000148u)                                                                \
    ONE(PIPE_BROKEN, 0xc000014bu)                                                                  \
    ONE(LOGON_TYPE_NOT_GRANTED, 0xc000015bu)                                                       \
    ONE(INVALID_DEVICE_STATE, 0xc0000184u)                                                         \
    ONE(IO_DEVICE_ERROR, 0xc0000185u)                                                              \
    ONE(TRUSTED_RELATIONSHIP_FAILURE, 0xc000018du)                                                 \
    ONE(ACCOUNT_EXPIRED, 0xc0000193u)                                                              \
    ONE(FS_DRIVER_REQUIRED, 0xc000019cu)                                                           \
    ONE(INVALID_LOCK_RANGE, 0xc00001a1u)                                                           \
    ONE(USER_SESSION_DELETED, 0xc0000203u)                                                         \
    ONE(INSUFF_SERVER_RESOURCES, 0xc0000205u)                                                      \
    ONE(CONNECTION_DISCONNECTED, 0xc000020cu)                                                      \
    ONE(CONNECTION_RESET, 0xc000020du)                                                             \
    ONE(PASSWORD_MUST_CHANGE, 0xc0000224u)                                                         \
    ONE(NOT_FOUND, 0xc0000225u)                                                                    \
    ONE(RETRY, 0xc000022du)                                                                        \
    ONE(ACCOUNT_LOCKED_OUT, 0xc0000234u)                                                           \
    ONE(USER_MAPPED_FILE, 0xc0000243u)                                                             \
    ONE(PATH_NOT_COVERED, 0xc0000257u)                                                             \
    ONE(TOO_MANY_LINKS, 0xc0000265u)                                                               \
    ONE(NOT_A_REPARSE_POINT, 0xc0000275u)                                                          \
    ONE(NETWORK_SESSION_EXPIRED, 0xc000035cu)                                                      \
    ONE(DOWNGRADE_DETECTED, 0xc0000388u)                                                           \
    ONE(REQUEST_OUT_OF_SEQUENCE, 0xc000042au)                                                      \
    ONE(SERVER_UNAVAILABLE, 0xc0000466u)                                                           \
    ONE(FILE_NOT_AVAILABLE, 0xc0000467u)                                                           \
    ONE(INVALID_SIGNATURE, 0xc000a000u)                                                            \
    ONE(SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP, 0xc05d0000u)                                        \
    ONE(SMB_BAD_CLUSTER_DIALECT, 0xc05d0001u)                                                      \
    ONE(SMB_GUEST_LOGON_BLOCKED, 0xc05d0002u)

enum ntstatus {
#define ONE(name, value) STATUS_##name = (value),
    NTSTATUS_LIST(ONE)
#undef ONE
};

/* 2.2.1: the SMB2 header. Of a request in SMB 3 the low half of Status is ChannelSequence. In an
 * asynchronous message (SMB2_FLAGS_ASYNC_COMMAND) the eight octets of ProcessId and TreeId are
 * AsyncId. */
#define SMB2_HEADER_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint32_t, protocol_id, "ProtocolId", 4, 0)                                              \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 4)                                        \
    NUMBER(uint16_t, credit_charge, "CreditCharge", 2, 6)                                          \
    NUMBER(uint32_t, status, "Status", 4, 8)                                                       \
    NUMBER(uint16_t, command, "Command", 2, 12)                                                    \
    NUMBER(uint16_t, credits, "CreditRequest/CreditResponse", 2, 14)                               \
    NUMBER(uint32_t, flags, "Flags", 4, 16)                                                        \
    NUMBER(uint32_t, next_command, "NextCommand", 4, 20)                                           \
    NUMBER(uint64_t, message_id, "MessageId", 8, 24)                                               \
    NUMBER(uint32_t, process_id, "ProcessId", 4, 32)                                               \
    NUMBER(uint32_t, tree_id, "TreeId", 4, 36)                                                     \
    NUMBER(uint64_t, session_id, "SessionId", 8, 40)                                               \
    OCTETS(signature, "Signature", 16, 48)

struct smb2_header {
    FIELDS_MEMBERS(SMB2_HEADER_FIELDS)
};
uint64_t smb2_header_async_id(const struct smb2_header *header);

/* 2.2.3 */
#define NEGOTIATE_REQUEST_FIELDS(NUMBER, OCTETS)                                                   \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, dialect_count, "DialectCount", 2, 2)                                          \
    NUMBER(uint16_t, security_mode, "SecurityMode", 2, 4)                                          \
    NUMBER(uint16_t, reserved, "Reserved", 2, 6)                                                   \
    NUMBER(uint32_t, capabilities, "Capabilities", 4, 8)                                           \
    OCTETS(client_guid, "ClientGuid", 16, 12)                                                      \
    NUMBER(uint32_t, negotiate_context_offset, "NegotiateContextOffset", 4, 28)                    \
    NUMBER(uint16_t, negotiate_context_count, "NegotiateContextCount", 2, 32)                      \
    NUMBER(uint16_t, reserved2, "Reserved2", 2, 34)

struct negotiate_request {
    FIELDS_MEMBERS(NEGOTIATE_REQUEST_FIELDS)
    struct span dialects; /* 2 octets each, in order */
    struct span contexts; /* from the first context to the end of the message; empty unless 3.1.1 is
                             offered, and where they begin in front of the end of the dialects or
                             past the message's end */
};

/* 2.2.4 */
#define NEGOTIATE_RESPONSE_FIELDS(NUMBER, OCTETS)                                                  \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, security_mode, "SecurityMode", 2, 2)                                          \
    NUMBER(uint16_t, dialect_revision, "DialectRevision", 2, 4)                                    \
    NUMBER(uint16_t, negotiate_context_count, "NegotiateContextCount", 2, 6)                       \
    OCTETS(server_guid, "ServerGuid", 16, 8)                                                       \
    NUMBER(uint32_t, capabilities, "Capabilities", 4, 24)                                          \
    NUMBER(uint32_t, max_transact_size, "MaxTransactSize", 4, 28)                                  \
    NUMBER(uint32_t, max_read_size, "MaxReadSize", 4, 32)                                          \
    NUMBER(uint32_t, max_write_size, "MaxWriteSize", 4, 36)                                        \
    NUMBER(uint64_t, system_time, "SystemTime", 8, 40)                                             \
    NUMBER(uint64_t, server_start_time, "ServerStartTime", 8, 48)                                  \
    NUMBER(uint16_t, security_buffer_offset, "SecurityBufferOffset", 2, 56)                        \
    NUMBER(uint16_t, security_buffer_length, "SecurityBufferLength", 2, 58)                        \
    NUMBER(uint32_t, negotiate_context_offset, "NegotiateContextOffset", 4, 60)

struct negotiate_response {
    FIELDS_MEMBERS(NEGOTIATE_RESPONSE_FIELDS)
    struct span security_buffer;
    struct span contexts; /* from the first context to the end of the message; empty unless 3.1.1
                             was chosen, and where they begin within the fixed part, within the
                             buffer or past the message's end */
};

/* 2.2.5 */
#define SESSION_SETUP_REQUEST_FIELDS(NUMBER, OCTETS)                                               \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, flags, "Flags", 1, 2)                                                          \
    NUMBER(uint8_t, security_mode, "SecurityMode", 1, 3)                                           \
    NUMBER(uint32_t, capabilities, "Capabilities", 4, 4)                                           \
    NUMBER(uint32_t, channel, "Channel", 4, 8)                                                     \
    NUMBER(uint16_t, security_buffer_offset, "SecurityBufferOffset", 2, 12)                        \
    NUMBER(uint16_t, security_buffer_length, "SecurityBufferLength", 2, 14)                        \
    NUMBER(uint64_t, previous_session_id, "PreviousSessionId", 8, 16)

struct session_setup_request {
    FIELDS_MEMBERS(SESSION_SETUP_REQUEST_FIELDS)
    struct span security_buffer;
};

/* 2.2.6 */
#define SESSION_SETUP_RESPONSE_FIELDS(NUMBER, OCTETS)                                              \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, session_flags, "SessionFlags", 2, 2)                                          \
    NUMBER(uint16_t, security_buffer_offset, "SecurityBufferOffset", 2, 4)                         \
    NUMBER(uint16_t, security_buffer_length, "SecurityBufferLength", 2, 6)

struct session_setup_response {
    FIELDS_MEMBERS(SESSION_SETUP_RESPONSE_FIELDS)
    struct span security_buffer;
};

/* 2.2.7, 2.2.8: LOGOFF both ways, and TREE_DISCONNECT, ECHO and CANCEL likewise */
#define EMPTY_BODY_FIELDS(NUMBER, OCTETS)                                                          \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, reserved, "Reserved", 2, 2)

struct empty_body {
    FIELDS_MEMBERS(EMPTY_BODY_FIELDS)
};

/* 2.2.9 */
#define TREE_CONNECT_REQUEST_FIELDS(NUMBER, OCTETS)                                                \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, flags, "Flags", 2, 2)                                                         \
    NUMBER(uint16_t, path_offset, "PathOffset", 2, 4)                                              \
    NUMBER(uint16_t, path_length, "PathLength", 2, 6)

struct tree_connect_request {
    FIELDS_MEMBERS(TREE_CONNECT_REQUEST_FIELDS)
    struct span path; /* UTF-16LE, without a terminator */
};

/* 2.2.10 */
#define TREE_CONNECT_RESPONSE_FIELDS(NUMBER, OCTETS)                                               \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, share_type, "ShareType", 1, 2)                                                 \
    NUMBER(uint8_t, reserved, "Reserved", 1, 3)                                                    \
    NUMBER(uint32_t, share_flags, "ShareFlags", 4, 4)                                              \
    NUMBER(uint32_t, capabilities, "Capabilities", 4, 8)                                           \
    NUMBER(uint32_t, maximal_access, "MaximalAccess", 4, 12)

struct tree_connect_response {
    FIELDS_MEMBERS(TREE_CONNECT_RESPONSE_FIELDS)
};

/* 2.2.31 */
#define IOCTL_REQUEST_FIELDS(NUMBER, OCTETS)                                                       \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, reserved, "Reserved", 2, 2)                                                   \
    NUMBER(uint32_t, ctl_code, "CtlCode", 4, 4)                                                    \
    OCTETS(file_id, "FileId", 16, 8)                                                               \
    NUMBER(uint32_t, input_offset, "InputOffset", 4, 24)                                           \
    NUMBER(uint32_t, input_count, "InputCount", 4, 28)                                             \
    NUMBER(uint32_t, max_input_response, "MaxInputResponse", 4, 32)                                \
    NUMBER(uint32_t, output_offset, "OutputOffset", 4, 36)                                         \
    NUMBER(uint32_t, output_count, "OutputCount", 4, 40)                                           \
    NUMBER(uint32_t, max_output_response, "MaxOutputResponse", 4, 44)                              \
    NUMBER(uint32_t, flags, "Flags", 4, 48)                                                        \
    NUMBER(uint32_t, reserved2, "Reserved2", 4, 52)

struct ioctl_request {
    FIELDS_MEMBERS(IOCTL_REQUEST_FIELDS)
    struct span input;
};

/* 2.2.32 */
#define IOCTL_RESPONSE_FIELDS(NUMBER, OCTETS)                                                      \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint16_t, reserved, "Reserved", 2, 2)                                                   \
    NUMBER(uint32_t, ctl_code, "CtlCode", 4, 4)                                                    \
    OCTETS(file_id, "FileId", 16, 8)                                                               \
    NUMBER(uint32_t, input_offset, "InputOffset", 4, 24)                                           \
    NUMBER(uint32_t, input_count, "InputCount", 4, 28)                                             \
    NUMBER(uint32_t, output_offset, "OutputOffset", 4, 32)                                         \
    NUMBER(uint32_t, output_count, "OutputCount", 4, 36)                                           \
    NUMBER(uint32_t, flags, "Flags", 4, 40)                                                        \
    NUMBER(uint32_t, reserved2, "Reserved2", 4, 44)

struct ioctl_response {
    FIELDS_MEMBERS(IOCTL_RESPONSE_FIELDS)
    struct span input, output;
};

/* 2.2.31.4 */
#define VALIDATE_REQUEST_FIELDS(NUMBER, OCTETS)                                                    \
    NUMBER(uint32_t, capabilities, "Capabilities", 4, 0)                                           \
    OCTETS(guid, "Guid", 16, 4)                                                                    \
    NUMBER(uint16_t, security_mode, "SecurityMode", 2, 20)                                         \
    NUMBER(uint16_t, dialect_count, "DialectCount", 2, 22)

struct validate_negotiate_info_request {
    FIELDS_MEMBERS(VALIDATE_REQUEST_FIELDS)
    struct span dialects; /* 2 octets each */
};

/* 2.2.32.6 */
#define VALIDATE_RESPONSE_FIELDS(NUMBER, OCTETS)                                                   \
    NUMBER(uint32_t, capabilities, "Capabilities", 4, 0)                                           \
    OCTETS(guid, "Guid", 16, 4)                                                                    \
    NUMBER(uint16_t, security_mode, "SecurityMode", 2, 20)                                         \
    NUMBER(uint16_t, dialect, "Dialect", 2, 22)

struct validate_negotiate_info_response {
    FIELDS_MEMBERS(VALIDATE_RESPONSE_FIELDS)
};

/* 2.2.2 */
#define ERROR_RESPONSE_FIELDS(NUMBER, OCTETS)                                                      \
    NUMBER(uint16_t, structure_size, "StructureSize", 2, 0)                                        \
    NUMBER(uint8_t, error_context_count, "ErrorContextCount", 1, 2)                                \
    NUMBER(uint8_t, reserved, "Reserved", 1, 3)                                                    \
    NUMBER(uint32_t, byte_count, "ByteCount", 4, 4)

struct error_response {
    FIELDS_MEMBERS(ERROR_RESPONSE_FIELDS)
    struct span data;
};

/* 2.2.41 */
#define TRANSFORM_HEADER_FIELDS(NUMBER, OCTETS)                                                    \
    NUMBER(uint32_t, protocol_id, "ProtocolId", 4, 0)                                              \
    OCTETS(signature, "Signature", 16, 4)                                                          \
    OCTETS(nonce, "Nonce", 16, 20)                                                                 \
    NUMBER(uint32_t, original_message_size, "OriginalMessageSize", 4, 36)                          \
    NUMBER(uint16_t, reserved, "Reserved", 2, 40)                                                  \
    NUMBER(uint16_t, flags, "Flags", 2, 42)                                                        \
    NUMBER(uint64_t, session_id, "SessionId", 8, 44)

struct transform_header {
    FIELDS_MEMBERS(TRANSFORM_HEADER_FIELDS)
};

/* 2.2.42.1, unchained; of a chained one (2.2.42.2) the last four octets are the first payload's
 * Length. */
#define COMPRESSION_HEADER_FIELDS(NUMBER, OCTETS)                                                  \
    NUMBER(uint32_t, protocol_id, "ProtocolId", 4, 0)                                              \
    NUMBER(uint32_t, original_compressed_segment_size, "OriginalCompressedSegmentSize", 4, 4)      \
    NUMBER(uint16_t, compression_algorithm, "CompressionAlgorithm", 2, 8)                          \
    NUMBER(uint16_t, flags, "Flags", 2, 10)                                                        \
    NUMBER(uint32_t, offset, "Offset", 4, 12)

struct compression_header {
    FIELDS_MEMBERS(COMPRESSION_HEADER_FIELDS)
};

/* [MS-CIFS] 2.2.3.1 and 2.2.4.52.1 */
#define SMB1_HEADER_FIELDS(NUMBER, OCTETS)                                                         \
    NUMBER(uint32_t, protocol_id, "Protocol", 4, 0)                                                \
    NUMBER(uint8_t, command, "Command", 1, 4)                                                      \
    NUMBER(uint32_t, status, "Status", 4, 5)                                                       \
    NUMBER(uint8_t, flags, "Flags", 1, 9)                                                          \
    NUMBER(uint16_t, flags2, "Flags2", 2, 10)                                                      \
    NUMBER(uint16_t, pid_high, "PIDHigh", 2, 12)                                                   \
    OCTETS(security_features, "SecurityFeatures", 8, 14)                                           \
    NUMBER(uint16_t, reserved, "Reserved", 2, 22)                                                  \
    NUMBER(uint16_t, tid, "TID", 2, 24)                                                            \
    NUMBER(uint16_t, pid, "PIDLow", 2, 26)                                                         \
    NUMBER(uint16_t, uid, "UID", 2, 28)                                                            \
    NUMBER(uint16_t, mid, "MID", 2, 30)

struct smb1_header {
    FIELDS_MEMBERS(SMB1_HEADER_FIELDS)
};

struct smb1_negotiate_request {
    struct smb1_header header;
    uint8_t word_count;
    struct span words; /* none in a well-formed request */
    uint16_t byte_count;
    struct span dialects; /* each 0x02, ASCII, 0x00 */
    bool offers_nt_lm, offers_smb2_002, offers_smb2_wildcard;
};

struct smb1_negotiate_response {
    struct smb1_header header;
    uint8_t word_count;
    uint16_t dialect_index; /* 0xffff: none of the client's, or no words at all, as in an error */
    struct span rest;       /* all that follows the index */
};

FIELDS_DECLARE(smb2_header)
FIELDS_DECLARE(negotiate_request)
FIELDS_DECLARE(negotiate_response)
FIELDS_DECLARE(session_setup_request)
FIELDS_DECLARE(session_setup_response)
FIELDS_DECLARE(empty_body)
FIELDS_DECLARE(tree_connect_request)
FIELDS_DECLARE(tree_connect_response)
FIELDS_DECLARE(ioctl_request)
FIELDS_DECLARE(ioctl_response)
FIELDS_DECLARE(validate_request)
FIELDS_DECLARE(validate_response)
FIELDS_DECLARE(error_response)
FIELDS_DECLARE(transform_header)
FIELDS_DECLARE(compression_header)
FIELDS_DECLARE(smb1_header)

/* Decoders. `message` begins at the protocol id and reaches to the message's end as far as it was
 * captured; the bodies follow the 64 octet header. True where the fixed and variable parts are all
 * there and within bounds; the fixed fields are filled in as far as they are there also where false
 * is returned. */
bool smb2_header_decode_fields(struct span message, struct smb2_header *header);

/* Every message has one, and it is decoded where the compiler sees what of it is used. */
static inline bool smb2_header_decode(struct span message, struct smb2_header *header) {
    _Static_assert(sizeof *header == SMB2_HEADER_SIZE && offsetof(struct smb2_header, message_id) == 24 &&
                       offsetof(struct smb2_header, session_id) == 40 && offsetof(struct smb2_header, signature) == 48,
                   "struct smb2_header is laid out as on the wire");
    if (!HOST_IS_WIRE_ORDER || message.size < SMB2_HEADER_SIZE)
        return smb2_header_decode_fields(message, header);
    memcpy(header, message.data, SMB2_HEADER_SIZE);
    return true;
}

bool negotiate_request_decode(struct span message, struct negotiate_request *request);
bool negotiate_response_decode(struct span message, struct negotiate_response *response);
bool session_setup_request_decode(struct span message, struct session_setup_request *request);
bool session_setup_response_decode(struct span message, struct session_setup_response *response);
bool tree_connect_request_decode(struct span message, struct tree_connect_request *request);
bool tree_connect_response_decode(struct span message, struct tree_connect_response *response);
bool ioctl_request_decode(struct span message, struct ioctl_request *request);
bool ioctl_response_decode(struct span message, struct ioctl_response *response);
bool error_response_decode(struct span message, struct error_response *error);
bool empty_body_decode(struct span message, struct empty_body *body);
bool transform_header_decode(struct span message, struct transform_header *header);
bool compression_header_decode(struct span message, struct compression_header *header);
bool smb1_negotiate_request_decode(struct span message, struct smb1_negotiate_request *request);
bool smb1_negotiate_response_decode(struct span message, struct smb1_negotiate_response *response);
/* Of an IOCTL's input and output. Octets behind what the counts say are tolerated. */
bool validate_request_decode(struct span input, struct validate_negotiate_info_request *info);
bool validate_response_decode(struct span output, struct validate_negotiate_info_response *info);

/* Encoders: header and body, with the variable parts at the places that the offsets name (an offset
 * of 0 with a length of 0 stays so). What decodes, encodes, and decodes to the same. A writer that
 * fails has the reason in a field that contradicts its span. */
void smb2_header_encode(const struct smb2_header *header, struct writer *writer);
void negotiate_request_encode(const struct smb2_header *header,
                              const struct negotiate_request *request, struct writer *writer);
void negotiate_response_encode(const struct smb2_header *header,
                               const struct negotiate_response *response, struct writer *writer);
void session_setup_request_encode(const struct smb2_header *header,
                                  const struct session_setup_request *request,
                                  struct writer *writer);
void session_setup_response_encode(const struct smb2_header *header,
                                   const struct session_setup_response *response,
                                   struct writer *writer);
void tree_connect_request_encode(const struct smb2_header *header,
                                 const struct tree_connect_request *request, struct writer *writer);
void tree_connect_response_encode(const struct smb2_header *header,
                                  const struct tree_connect_response *response,
                                  struct writer *writer);
void ioctl_request_encode(const struct smb2_header *header, const struct ioctl_request *request,
                          struct writer *writer);
void ioctl_response_encode(const struct smb2_header *header, const struct ioctl_response *response,
                           struct writer *writer);
void error_response_encode(const struct smb2_header *header, const struct error_response *error,
                           struct writer *writer);
void empty_body_encode(const struct smb2_header *header, const struct empty_body *body,
                       struct writer *writer);
void transform_header_encode(const struct transform_header *header, struct writer *writer);
void compression_header_encode(const struct compression_header *header, struct writer *writer);
void smb1_negotiate_request_encode(const struct smb1_negotiate_request *request,
                                   struct writer *writer);
void smb1_negotiate_response_encode(const struct smb1_negotiate_response *response,
                                    struct writer *writer);
void validate_request_encode(const struct validate_negotiate_info_request *info,
                             struct writer *writer);
void validate_response_encode(const struct validate_negotiate_info_response *info,
                              struct writer *writer);

/* The i-th dialect of a request; 0 past the end. */
uint16_t negotiate_dialect(const struct negotiate_request *request, unsigned i);
bool negotiate_offers(const struct negotiate_request *request, uint16_t dialect);

/* Takes the next string off the front of an SMB1 dialect list, without its 0x02 and 0x00; false at
 * the end of the list and at anything that is not such a string. */
bool smb1_dialect_next(struct span *dialects, struct span *dialect);

/* 2.2.3.1, 2.2.4.1: one negotiate context. */
struct context {
    uint16_t type, data_length;
    uint32_t reserved;
    struct span data;
    uint32_t offset; /* of its header, from the message's protocol id */
};

struct context_cursor {
    struct span contexts;
    size_t at;
    uint32_t base; /* offset of contexts[0] from the protocol id */
    unsigned left;
    bool malformed; /* one reaches past the end, or there are fewer than counted */
};

/* `contexts` as a decoder yields it; `count` and `offset` from the message's fields. */
struct context_cursor context_cursor(struct span contexts, uint16_t count, uint32_t offset);
bool context_next(struct context_cursor *cursor, struct context *context);
/* Writes one context, first padding to a multiple of 8 (counted from the writer's start, the
 * protocol id). The length that is written is that of `data`. */
void context_encode(const struct context *context, struct writer *writer);

/* The data of the contexts that are lists of 16-bit ids; `ids` borrows, 2 octets each. */
struct context_ids {
    uint16_t count;
    uint16_t salt_length; /* PREAUTH_INTEGRITY */
    uint32_t flags;       /* COMPRESSION, TRANSPORT */
    struct span ids;      /* `count` of them */
    struct span rest;     /* salt of PREAUTH_INTEGRITY, name of NETNAME */
};
/* False where the data is shorter than its type demands or than its count says. Types that are not
 * known have everything in `rest`. */
bool context_ids_decode(const struct context *context, struct context_ids *ids);
void context_ids_encode(uint16_t type, const struct context_ids *ids, struct writer *writer);
uint16_t context_id(const struct context_ids *ids, unsigned i);

#endif
