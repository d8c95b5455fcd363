/* The table of misdeeds, in the order in which they are done, and what the server is like for each. */
#include <assert.h>

#include "conform/client.h"
#include "explain/output.h"
#include "wire/names.h"

#define MUST   LEVEL_MUST
#define SHOULD LEVEL_SHOULD

/* The misdeed of a case: what the server is like, alterations, what is done to them, by when it must be noticed. */
#define MISDEED_ON(dialect, setting, tampers, finish, judge, stage) \
    &(const struct misdeed) { SETTING_##setting, JUDGE_##judge, REACH_##stage, FINISH_##finish, dialect, tampers }
#define MISDEED(setting, tampers, finish, judge, stage) MISDEED_ON(0, setting, tampers, finish, judge, stage)
#define NEGOTIATES(setting, tampers) MISDEED(setting, tampers, AS_IT_IS, STAGE, NEGOTIATE)
#define NEGOTIATES_311(tampers)      MISDEED_ON(SMB2_DIALECT_311, ALL_ALLOWED, tampers, AS_IT_IS, STAGE, NEGOTIATE)
#define ALTERS_311(tampers)          MISDEED_ON(SMB2_DIALECT_311, ALL, tampers, AS_IT_IS, STAGE, SESSION_SETUP)
#define ALTERS_302(tampers)          MISDEED(302_ALLOWED, tampers, AS_IT_IS, STAGE, VALIDATE)
#define VALIDATES(tampers)           MISDEED(302_ALLOWED, tampers, SIGNED, STAGE, VALIDATE)
#define SETS_UP(setting, tampers)    MISDEED(setting, tampers, AS_IT_IS, STAGE, SESSION_SETUP)
#define SETS_UP_311(setting, tampers) MISDEED_ON(SMB2_DIALECT_311, setting, tampers, AS_IT_IS, STAGE, SESSION_SETUP)
#define CONNECTS(setting, tampers)   MISDEED(setting, tampers, AS_IT_IS, STAGE, TREE_CONNECT)
#define CONNECTS_311(setting, tampers) MISDEED_ON(SMB2_DIALECT_311, setting, tampers, AS_IT_IS, STAGE, TREE_CONNECT)
#define CONNECTS_SIGNED(tampers)     MISDEED(ALL, tampers, SIGNED, STAGE, TREE_CONNECT)
#define WORKS(setting)               MISDEED(setting, NULL, AS_IT_IS, WORKS, OPERATION)
#define SEALED(tampers, finish)      MISDEED(ENCRYPTED, tampers, finish, STAGE, TREE_CONNECT)

#define CLOSES "the connection is closed"
#define DROPS  "the answer is discarded, or the connection closed"

/* clang-format off */
static const struct conform_case table[] = {
    /* ---- nothing wrong ---- */
    {"Works", AREA_WORKS, "3.2.4.2", MUST, NEED_NOTHING, "nothing wrong: all dialects, signing required",
     "an operation succeeds", NULL, {RULE_NONE}, WORKS(ALL)},
    {"Works_SigningAllowed", AREA_WORKS, "3.2.4.2", MUST, NEED_NOTHING,
     "nothing wrong: all dialects, signing not required", "an operation succeeds", NULL, {RULE_NONE},
     WORKS(ALL_ALLOWED)},
    {"Works_302", AREA_WORKS, "3.2.4.2", MUST, NEED_NOTHING, "nothing wrong: dialects up to 3.0.2, signing required",
     "an operation succeeds", NULL, {RULE_NONE}, WORKS(302)},
    {"Works_302_SigningAllowed", AREA_WORKS, "3.2.4.2", MUST, NEED_NOTHING,
     "nothing wrong: dialects up to 3.0.2, signing not required", "an operation succeeds", NULL, {RULE_NONE},
     WORKS(302_ALLOWED)},
    {"Works_210_SigningAllowed", AREA_WORKS, "3.2.4.2", MUST, NEED_NOTHING,
     "nothing wrong: dialects up to 2.1, signing not required", "an operation succeeds", NULL, {RULE_NONE},
     WORKS(210_ALLOWED)},
    {"Works_Encrypted", AREA_WORKS, "3.2.4.2", MUST, NEED_NOTHING, "nothing wrong: all dialects, encryption required",
     "an operation succeeds", NULL, {RULE_NONE}, WORKS(ENCRYPTED)},

    /* ---- NEGOTIATE: what cannot be right ---- */
    {"Negotiate_DialectNotOffered", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "DialectRevision 0x0310", CLOSES,
     NULL,
     {RULE_RESPONSE_DIALECT}, NEGOTIATES(ALL, "negotiate.response.DialectRevision=0x0310")},
    {"Negotiate_WildcardAgain", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING,
     "DialectRevision 0x02FF to an SMB2 NEGOTIATE", CLOSES, NULL, {RULE_RESPONSE_WILDCARD},
     NEGOTIATES(ALL, "negotiate.response.DialectRevision=0x02ff")},
    {"Negotiate_StructureSize", AREA_NEGOTIATE, "3.2.5.1.7", MUST, NEED_NOTHING, "StructureSize 64", DROPS, NULL,
     {RULE_RESPONSE_MALFORMED}, NEGOTIATES(302, "negotiate.response.StructureSize=64")},
    {"Negotiate_Cut", AREA_NEGOTIATE, "3.2.5.1.7", MUST, NEED_NOTHING, "100 octets in all", DROPS, NULL,
     {RULE_RESPONSE_MALFORMED}, NEGOTIATES(302, "negotiate.response:truncate=100")},
    {"Negotiate_BufferBeyond", AREA_NEGOTIATE, "3.2.5.1.7", MUST, NEED_NOTHING, "SecurityBufferOffset 0xFFF0", DROPS,
     NULL, {RULE_RESPONSE_MALFORMED}, NEGOTIATES(302, "negotiate.response.SecurityBufferOffset=0xfff0")},
    {"Negotiate_SmallSizes", AREA_NEGOTIATE, "3.2.5.2", SHOULD, NEED_NOTHING, "MaxReadSize 4096", CLOSES, NULL,
     {RULE_RESPONSE_SIZES}, NEGOTIATES(302, "negotiate.response.MaxReadSize=4096")},
    {"Negotiate_NoCredits", AREA_NEGOTIATE, "3.2.4.1.6", MUST, NEED_NOTHING, "an answer that grants no credit",
     "no further request, for which there is no MessageId", NULL, {RULE_CREDITS_NONE},
     NEGOTIATES(302, "negotiate.response.header.CreditResponse=0")},
    {"Negotiate_Encrypted", AREA_NEGOTIATE, "3.2.5.1.1.1", MUST, NEED_NOTHING, "a transform header in place of it",
     CLOSES,
     NULL, {RULE_TRANSFORM_BEFORE_SESSION}, NEGOTIATES(ALL, "negotiate.response.header.ProtocolId=0x424d53fd")},
    {"Negotiate_NoPreauth", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "3.1.1 without a context of hashes",
     CLOSES, NULL, {RULE_RESPONSE_PREAUTH_COUNT},
     NEGOTIATES_311("negotiate.response.contexts-=PREAUTH_INTEGRITY_CAPABILITIES")},
    {"Negotiate_TwoPreauth", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "two contexts of hashes", CLOSES, NULL,
     {RULE_RESPONSE_PREAUTH_COUNT}, NEGOTIATES_311("negotiate.response.contexts+=PREAUTH_INTEGRITY_CAPABILITIES")},
    {"Negotiate_TwoCipherContexts", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "two contexts of ciphers", CLOSES,
     NULL,
     {RULE_RESPONSE_CONTEXT_TWICE}, NEGOTIATES_311("negotiate.response.contexts+=ENCRYPTION_CAPABILITIES")},
    {"Negotiate_HashUnknown", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "a hash that is none", CLOSES, NULL,
     {RULE_RESPONSE_HASH},
     NEGOTIATES_311("negotiate.response.HashAlgorithms-=1 ; negotiate.response.HashAlgorithms+=0x7777")},
    {"Negotiate_TwoHashes", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "two hashes", CLOSES, NULL,
     {RULE_RESPONSE_HASH}, NEGOTIATES_311("negotiate.response.HashAlgorithms+=2")},
    {"Negotiate_NoHash", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "a context of hashes without any", CLOSES,
     NULL,
     {RULE_RESPONSE_HASH}, NEGOTIATES_311("negotiate.response.HashAlgorithms-=1")},
    {"Negotiate_CipherNotOffered", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "a cipher that was not offered",
     CLOSES,
     NULL, {RULE_RESPONSE_CIPHER},
     NEGOTIATES_311("negotiate.response.Ciphers-=1,2,3,4 ; negotiate.response.Ciphers+=0x7777")},
    {"Negotiate_TwoCiphers", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "two ciphers", CLOSES, NULL,
     {RULE_RESPONSE_CIPHER}, NEGOTIATES_311("negotiate.response.Ciphers+=1")},
    {"Negotiate_SigningNotOffered", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING,
     "a signing algorithm that was not offered", CLOSES, NULL, {RULE_RESPONSE_SIGNING},
     NEGOTIATES_311("negotiate.response.SigningAlgorithms-=0,1,2 ; negotiate.response.SigningAlgorithms+=0x7777")},
    {"Negotiate_TwoSigning", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "two signing algorithms", CLOSES, NULL,
     {RULE_RESPONSE_SIGNING}, NEGOTIATES_311("negotiate.response.SigningAlgorithms+=1")},
    {"Negotiate_CompressionNotOffered", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING,
     "a compression algorithm that was not offered", CLOSES, NULL, {RULE_RESPONSE_COMPRESSION},
     NEGOTIATES_311("negotiate.response.CompressionAlgorithms+=0x7777")},
    {"Negotiate_RdmaNotOffered", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING,
     "RDMA transforms that were not offered", CLOSES, NULL, {RULE_RESPONSE_RDMA},
     NEGOTIATES_311("negotiate.response.RDMATransformIds+=0x7777")},
    {"Negotiate_ContextEmpty", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "a context of compression without data",
     CLOSES, NULL, {RULE_RESPONSE_CONTEXT_SHORT},
     NEGOTIATES_311("negotiate.response.contexts+=COMPRESSION_CAPABILITIES")},
    {"Negotiate_ContextsBeyond", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "NegotiateContextOffset past the end",
     DROPS, NULL, {RULE_RESPONSE_CONTEXTS_MALFORMED},
     NEGOTIATES_311("negotiate.response.NegotiateContextOffset=0xfff0")},
    {"Negotiate_ContextsMore", AREA_NEGOTIATE, "3.2.5.2", MUST, NEED_NOTHING, "NegotiateContextCount 9", DROPS, NULL,
     {RULE_RESPONSE_CONTEXTS_MALFORMED}, NEGOTIATES_311("negotiate.response.NegotiateContextCount=9")},

    /* ---- NEGOTIATE: what only the hash of 3.1.1 can tell ---- */
    {"Hash_Salt", AREA_NEGOTIATE, "3.2.5.3.1", MUST, NEED_NOTHING, "another salt than that of its hash",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     ALTERS_311("negotiate.response.Salt^=1")},
    {"Hash_SecurityMode", AREA_NEGOTIATE, "3.2.5.3.1", MUST, NEED_NOTHING,
     "another SecurityMode than that of its hash",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     SETS_UP_311(ALL_ALLOWED, "negotiate.response.SecurityMode^=SIGNING_REQUIRED")},
    {"Hash_Capabilities", AREA_NEGOTIATE, "3.2.5.3.1", MUST, NEED_NOTHING,
     "other Capabilities than those of its hash",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     ALTERS_311("negotiate.response.Capabilities^=MULTI_CHANNEL")},
    {"Hash_ServerGuid", AREA_NEGOTIATE, "3.2.5.3.1", MUST, NEED_NOTHING, "another ServerGuid than that of its hash",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     ALTERS_311("negotiate.response.ServerGuid^=1")},
    {"Hash_MaxReadSize", AREA_NEGOTIATE, "3.2.5.3.1", MUST, NEED_NOTHING, "another MaxReadSize than that of its hash",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     ALTERS_311("negotiate.response.MaxReadSize=0x100000")},
    {"Hash_Dialect", AREA_NEGOTIATE, "3.2.5.3.1", MUST, NEED_NOTHING, "DialectRevision 3.0.2 where 3.1.1 is meant",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     ALTERS_311("negotiate.response.DialectRevision=3.0.2")},
    {"Hash_SessionSetup", AREA_SESSION, "3.2.5.3.1", MUST, NEED_NOTHING,
     "a SESSION_SETUP response with another CreditResponse than those of its hash",
     "the signature of SESSION_SETUP is found wrong", NULL, {RULE_RESPONSE_SIGNATURE},
     ALTERS_311("session_setup.response.CreditResponse^=2")},

    /* ---- NEGOTIATE below 3.1.1: what only validation can tell ---- */
    {"Validates_302", AREA_VALIDATE, "3.2.5.5", MUST, NEED_NOTHING, "nothing wrong: dialects up to 3.0.2",
     "FSCTL_VALIDATE_NEGOTIATE_INFO before any operation", NULL, {RULE_NONE},
     MISDEED(302_ALLOWED, NULL, AS_IT_IS, VALIDATES, VALIDATE)},
    {"Validates_210", AREA_VALIDATE, "3.2.5.5", MUST, NEED_NOTHING,
     "nothing wrong: dialects up to 2.1, as when 3.x was taken out on the path",
     "FSCTL_VALIDATE_NEGOTIATE_INFO before any operation, of a client with a dialect of SMB 3", NULL, {RULE_NONE},
     MISDEED(210_ALLOWED, NULL, AS_IT_IS, VALIDATES, VALIDATE)},
    {"Altered_Dialect", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "DialectRevision 3.0 where 3.0.2 is meant",
     "the validation shows it", NULL, {RULE_INFO_RESPONSE_DIALECT},
     ALTERS_302("negotiate.response.DialectRevision=3.0")},
    {"Altered_SecurityMode", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING,
     "SecurityMode with SIGNING_REQUIRED where it is not", "the validation shows it", NULL,
     {RULE_INFO_RESPONSE_SECURITY_MODE}, ALTERS_302("negotiate.response.SecurityMode^=SIGNING_REQUIRED")},
    {"Altered_Capabilities", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "other Capabilities than the server's",
     "the validation shows it", NULL, {RULE_INFO_RESPONSE_CAPABILITIES},
     ALTERS_302("negotiate.response.Capabilities^=MULTI_CHANNEL")},
    {"Altered_ServerGuid", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "another ServerGuid than the server's",
     "the validation shows it", NULL, {RULE_INFO_RESPONSE_GUID}, ALTERS_302("negotiate.response.ServerGuid^=1")},

    /* ---- the answer to the validation ---- */
    {"Validate_Dialect", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "another Dialect, signed", CLOSES, NULL,
     {RULE_INFO_RESPONSE_DIALECT}, VALIDATES("validate.response.Dialect=3.1.1")},
    {"Validate_SecurityMode", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "another SecurityMode, signed",
     CLOSES,
     NULL, {RULE_INFO_RESPONSE_SECURITY_MODE}, VALIDATES("validate.response.SecurityMode^=SIGNING_REQUIRED")},
    {"Validate_Capabilities", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "other Capabilities, signed", CLOSES,
     NULL, {RULE_INFO_RESPONSE_CAPABILITIES}, VALIDATES("validate.response.Capabilities^=MULTI_CHANNEL")},
    {"Validate_Guid", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "another Guid, signed", CLOSES, NULL,
     {RULE_INFO_RESPONSE_GUID}, VALIDATES("validate.response.Guid^=1")},
    {"Validate_Short", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "OutputCount 20, signed", CLOSES, NULL,
     {RULE_INFO_RESPONSE_LENGTH}, VALIDATES("validate.response.OutputCount=20")},
    {"Validate_Unsigned", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "the right values, unsigned", CLOSES,
     NULL,
     {RULE_INFO_RESPONSE_UNPROTECTED},
     MISDEED(302_ALLOWED, "validate.response:strip-signature", AS_IT_IS, STAGE, VALIDATE)},
    {"Validate_BadSignature", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "the right values, wrongly signed",
     CLOSES, NULL, {RULE_INFO_RESPONSE_UNPROTECTED},
     MISDEED(302_ALLOWED, "validate.response.header.Signature^=1", AS_IT_IS, STAGE, VALIDATE)},
    {"Validate_UnsupportedUnsigned", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING,
     "STATUS_NOT_SUPPORTED, unsigned",
     CLOSES, NULL, {RULE_INFO_RESPONSE_UNPROTECTED},
     MISDEED(302_ALLOWED, "validate.response:status=NOT_SUPPORTED", AS_IT_IS, STAGE, VALIDATE)},
    {"Validate_AccessDenied", AREA_VALIDATE, "3.2.5.14.12", MUST, NEED_NOTHING, "STATUS_ACCESS_DENIED, signed",
     CLOSES,
     NULL, {RULE_INFO_RESPONSE_ACCESS_DENIED}, VALIDATES("validate.response:status=ACCESS_DENIED")},
    {"Validate_UnsupportedSigned", AREA_VALIDATE, "3.3.5.15.12", SHOULD, NEED_NOTHING,
     "STATUS_NOT_SUPPORTED, signed, on 3.0.2, where a server must know it", CLOSES, NULL,
     {RULE_INFO_RESPONSE_UNSUPPORTED_3X, RULE_INFO_RESPONSE_STATUS},
     VALIDATES("validate.response:status=NOT_SUPPORTED")},
    {"Validate_InvalidParameterSigned", AREA_VALIDATE, "3.3.5.15.12", SHOULD, NEED_NOTHING,
     "STATUS_INVALID_PARAMETER, signed, as some servers refuse what differs", CLOSES, NULL,
     {RULE_INFO_RESPONSE_STATUS}, VALIDATES("validate.response:status=INVALID_PARAMETER")},
    {"Validate_Missing", AREA_VALIDATE, "3.2.6.1", MUST, NEED_NOTHING, "no answer", "nothing more is asked for", NULL,
     {RULE_INFO_RESPONSE_MISSING}, MISDEED(302_ALLOWED, "validate.response:drop", AS_IT_IS, STAGE, VALIDATE)},

    /* ---- SESSION_SETUP ---- */
    {"Setup_Unsigned_311", AREA_SESSION, "3.2.5.3.1", MUST, NEED_NOTHING, "the last response unsigned, on 3.1.1",
     CLOSES, NULL,
     {RULE_SESSION_RESPONSE_UNSIGNED}, SETS_UP_311(ALL, "session_setup.final_response:strip-signature")},
    {"Setup_BadSignature_311", AREA_SESSION, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the last response wrongly signed, on 3.1.1",
     CLOSES, NULL, {RULE_RESPONSE_SIGNATURE}, SETS_UP_311(ALL, "session_setup.final_response.header.Signature^=1")},
    {"Setup_Unsigned_302", AREA_SESSION, "3.2.5.1.3", SHOULD, NEED_NOTHING,
     "the last response unsigned, on 3.0.2, signing required", CLOSES, NULL, {RULE_SESSION_RESPONSE_UNSIGNED},
     SETS_UP(302, "session_setup.final_response:strip-signature")},
    {"Setup_BadSignature_302", AREA_SESSION, "3.2.5.1.3", SHOULD, NEED_NOTHING,
     "the last response wrongly signed, on 3.0.2, signing required", CLOSES, NULL, {RULE_RESPONSE_SIGNATURE},
     SETS_UP(302, "session_setup.final_response.header.Signature^=1")},
    {"Setup_Guest_311", AREA_SESSION, "3.2.5.3.1", SHOULD, NEED_NOTHING,
     "a guest's session for real credentials, unsigned",
     CLOSES, NULL, {RULE_SESSION_GUEST},
     SETS_UP_311(ALL_ALLOWED,
     "session_setup.final_response.SessionFlags|=IS_GUEST ; session_setup.final_response:strip-signature")},
    {"Setup_Guest_302", AREA_SESSION, "3.2.5.3.1", SHOULD, NEED_NOTHING,
     "a guest's session for real credentials, unsigned, on 3.0.2", CLOSES, NULL, {RULE_SESSION_GUEST},
     SETS_UP(302_ALLOWED,
     "session_setup.final_response.SessionFlags|=IS_GUEST ; session_setup.final_response:strip-signature")},
    {"Setup_Null", AREA_SESSION, "3.2.5.3.1", SHOULD, NEED_NOTHING,
     "an anonymous session for real credentials, unsigned",
     CLOSES, NULL, {RULE_SESSION_GUEST},
     SETS_UP(ALL_ALLOWED,
     "session_setup.final_response.SessionFlags|=IS_NULL ; session_setup.final_response:strip-signature")},
    {"Setup_Early", AREA_SESSION, "3.2.5.3.1", MUST, NEED_NOTHING,
     "STATUS_SUCCESS before the client has proved anything, and no more", CLOSES, NULL, {RULE_SESSION_INCOMPLETE},
     SETS_UP(ALL, "session_setup.response.header.Status=0 ; session_setup.response:strip-signature")},
    {"Setup_Endless", AREA_SESSION, "3.2.5.3.1", SHOULD, NEED_NOTHING,
     "STATUS_MORE_PROCESSING_REQUIRED in place of the last STATUS_SUCCESS", CLOSES, NULL, {RULE_SESSION_ENDLESS},
     SETS_UP(302, "session_setup.response.header.Status=MORE_PROCESSING_REQUIRED")},
    {"Setup_SessionIdChanges", AREA_SESSION, "3.3.5.5.1", SHOULD, NEED_NOTHING,
     "another SessionId in the last response, signed", CLOSES, NULL, {RULE_SESSION_ID},
     MISDEED(302, "session_setup.final_response.header.SessionId^=0x100", SIGNED, STAGE, SESSION_SETUP)},
    {"Setup_SessionIdZero", AREA_SESSION, "3.3.5.5.1", SHOULD, NEED_NOTHING, "SessionId 0", CLOSES, NULL,
     {RULE_SESSION_ID},
     SETS_UP(302, "session_setup.response.header.SessionId=0")},
    {"Setup_BufferBeyond", AREA_SESSION, "3.2.5.1.7", MUST, NEED_NOTHING, "SecurityBufferOffset 0xFFF0", DROPS, NULL,
     {RULE_BODY_INVALID}, SETS_UP(302, "session_setup.response.SecurityBufferOffset=0xfff0")},

    /* ---- signatures behind it ---- */
    {"Tree_Unsigned_311", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the TREE_CONNECT response unsigned, on 3.1.1, signing required", DROPS, NULL, {RULE_RESPONSE_UNSIGNED},
     CONNECTS_311(ALL, "tree_connect.response:strip-signature")},
    {"Tree_BadSignature_311", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the TREE_CONNECT response wrongly signed, on 3.1.1, signing required", DROPS, NULL, {RULE_RESPONSE_SIGNATURE},
     CONNECTS_311(ALL, "tree_connect.response.header.Signature^=1")},
    {"Tree_Unsigned_302", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the TREE_CONNECT response unsigned, on 3.0.2, signing required", DROPS, NULL, {RULE_RESPONSE_UNSIGNED},
     CONNECTS(302, "tree_connect.response:strip-signature")},
    {"Tree_BadSignature_302", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the TREE_CONNECT response wrongly signed, on 3.0.2, signing required", DROPS, NULL, {RULE_RESPONSE_SIGNATURE},
     CONNECTS(302, "tree_connect.response.header.Signature^=1")},
    {"Tree_Altered", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "another MaximalAccess than the signature's, signing required", DROPS, NULL, {RULE_RESPONSE_SIGNATURE},
     CONNECTS(302, "tree_connect.response.MaximalAccess^=1")},
    {"Tree_Unsigned_SigningAllowed", AREA_SIGNING, "3.3.4.1.1", SHOULD, NEED_NOTHING,
     "no signature where the request had one, on 3.1.1, signing not required", DROPS, NULL, {RULE_RESPONSE_UNSIGNED},
     CONNECTS_311(ALL_ALLOWED, "tree_connect.response:strip-signature")},
    {"Create_Unsigned", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the CREATE response unsigned, signing required", DROPS, NULL, {RULE_RESPONSE_UNSIGNED},
     MISDEED(302, "create.response:strip-signature", AS_IT_IS, ANYTHING, OPERATION)},
    {"Create_BadSignature", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "the CREATE response wrongly signed, signing required", DROPS, NULL, {RULE_RESPONSE_SIGNATURE},
     MISDEED(302, "create.response.header.Signature^=1", AS_IT_IS, ANYTHING, OPERATION)},
    {"Tree_ExpiredUnsigned", AREA_SIGNING, "3.2.5.1.3", MUST, NEED_NOTHING,
     "STATUS_NETWORK_SESSION_EXPIRED, unsigned, signing required", DROPS, NULL, {RULE_RESPONSE_UNSIGNED},
     MISDEED(302, "tree_connect.response:status=NETWORK_SESSION_EXPIRED", AS_IT_IS, ANYTHING, TREE_CONNECT)},

    /* ---- encryption ---- */
    {"Encrypted_Clear", AREA_ENCRYPTION, "3.2.5.1.1.1", MUST, NEED_NOTHING, "answers in the clear", CLOSES, NULL,
     {RULE_RESPONSE_UNENCRYPTED}, SEALED(NULL, CLEAR)},
    {"Encrypted_ClearSigned", AREA_ENCRYPTION, "3.2.5.1.1.1", SHOULD, NEED_NOTHING, "answers in the clear, signed",
     CLOSES,
     NULL, {RULE_RESPONSE_UNENCRYPTED}, SEALED(NULL, CLEAR_SIGNED)},
    {"Encrypted_BadTag", AREA_ENCRYPTION, "3.2.5.1.1.1", MUST, NEED_NOTHING, "a wrong authentication tag", CLOSES,
     NULL,
     {RULE_TRANSFORM_TAG}, SEALED("encrypted.response.Signature^=1", AS_IT_IS)},
    {"Encrypted_Flags", AREA_ENCRYPTION, "3.2.5.1.1.1", MUST, NEED_NOTHING, "Flags 2", CLOSES, NULL,
     {RULE_TRANSFORM_FLAGS},
     SEALED("encrypted.response.Flags=2", AS_IT_IS)},
    {"Encrypted_Size", AREA_ENCRYPTION, "2.2.41", MUST, NEED_NOTHING, "another OriginalMessageSize", CLOSES, NULL,
     {RULE_TRANSFORM_SIZE}, SEALED("encrypted.response.OriginalMessageSize^=8", AS_IT_IS)},
    {"Encrypted_ForeignSession", AREA_ENCRYPTION, "3.2.5.1.1.1", MUST, NEED_NOTHING,
     "an unknown SessionId in the transform header, rightly encrypted", CLOSES, NULL, {RULE_TRANSFORM_SESSION},
     SEALED(NULL, FOREIGN)},
    {"Encrypted_InnerSession", AREA_ENCRYPTION, "3.2.5.1.1.1", MUST, NEED_NOTHING,
     "another SessionId inside than outside", CLOSES, NULL, {RULE_TRANSFORM_SESSION},
     SEALED("tree_connect.response.header.SessionId^=0x100", AS_IT_IS)},
    {"Encrypted_InnerGarbage", AREA_ENCRYPTION, "3.2.5.1.1.1", MUST, NEED_NOTHING, "no SMB2 message inside", CLOSES,
     NULL,
     {RULE_TRANSFORM_INNER}, SEALED("tree_connect.response.header.ProtocolId=0x12345678", AS_IT_IS)},

    /* ---- headers and frames ---- */
    {"Header_MessageId", AREA_FRAME, "3.2.5.1.2", MUST, NEED_NOTHING,
     "the TREE_CONNECT response with a MessageId that nobody asked under, signed", DROPS, NULL,
     {RULE_RESPONSE_WITHOUT_REQUEST}, CONNECTS_SIGNED("tree_connect.response.header.MessageId^=0x10000")},
    {"Header_Command", AREA_FRAME, "3.2.5.1.8", SHOULD, NEED_NOTHING,
     "the TREE_CONNECT response as one of TREE_DISCONNECT, signed", DROPS, NULL, {RULE_RESPONSE_COMMAND},
     CONNECTS_SIGNED("tree_connect.response.header.Command=TREE_DISCONNECT")},
    {"Header_Direction", AREA_FRAME, "2.2.1", MUST, NEED_NOTHING, "SERVER_TO_REDIR not set", DROPS, NULL,
     {RULE_DIRECTION_BIT}, CONNECTS_SIGNED("tree_connect.response.header.Flags&=~SERVER_TO_REDIR")},
    {"Header_StructureSize", AREA_FRAME, "3.2.5.1.7", MUST, NEED_NOTHING, "StructureSize 63 of the header, signed",
     DROPS,
     NULL, {RULE_HEADER_STRUCTURE_SIZE}, CONNECTS_SIGNED("tree_connect.response.header.StructureSize=63")},
    {"Header_ProtocolId", AREA_FRAME, "3.2.5.1", MUST, NEED_NOTHING, "an unknown ProtocolId", CLOSES, NULL,
     {RULE_PROTOCOL_ID_UNKNOWN}, CONNECTS(ALL, "tree_connect.response.header.ProtocolId=0x12345678")},
    {"Header_Smb1", AREA_FRAME, "3.2.5.1", MUST, NEED_NOTHING, "the ProtocolId of SMB1", CLOSES, NULL,
     {RULE_SMB1_MESSAGE},
     CONNECTS(ALL, "tree_connect.response.header.ProtocolId=0x424d53ff")},
    {"Header_Compressed", AREA_FRAME, "3.2.5.1.1.2", MUST, NEED_NOTHING,
     "the ProtocolId of a compressed message, which was not negotiated", CLOSES, NULL,
     {RULE_COMPRESSED_NOT_NEGOTIATED},
     CONNECTS(ALL, "tree_connect.response.header.ProtocolId=0x424d53fc")},
    {"Header_Cut", AREA_FRAME, "3.2.5.1.7", MUST, NEED_NOTHING, "40 octets in all", DROPS, NULL, {RULE_HEADER_SHORT},
     CONNECTS(ALL, "tree_connect.response:truncate=40")},
    {"Body_StructureSize", AREA_FRAME, "3.2.5.1.7", MUST, NEED_NOTHING, "StructureSize 20 of TREE_CONNECT, signed",
     DROPS,
     NULL, {RULE_BODY_INVALID}, CONNECTS_SIGNED("tree_connect.response.StructureSize=20")},
    {"Body_Cut", AREA_FRAME, "3.2.5.1.7", MUST, NEED_NOTHING, "TREE_CONNECT cut behind its StructureSize, signed",
     DROPS,
     NULL, {RULE_BODY_INVALID}, CONNECTS_SIGNED("tree_connect.response:truncate=66")},
    {"Chain_Beyond", AREA_FRAME, "3.2.5.1.9", MUST, NEED_NOTHING, "NextCommand past the end", DROPS, NULL,
     {RULE_CHAIN_OUT_OF_BOUNDS}, CONNECTS(302, "tree_connect.response.header.NextCommand=0x10000")},
};
/* clang-format on */

#define CASES_COUNT (sizeof table / sizeof table[0])
_Static_assert(CASES_COUNT <= CONFORM_CASES_MAX, "the results have room for each case");

/* ---- what a report says of the client ---- */

static void subject_text(const struct conform_report *report, FILE *out) {
    const struct conform_client *client = &report->client;
    char dialect[16];

    if (!client->seen) {
        fputs("No client of SMB 2 came.\n", out);
        return;
    }
    fputs("The client offers", out);
    for (unsigned i = 0; i < client->dialects.count; i++)
        fprintf(out, " %s", dialect_text(client->dialects.ids[i], dialect));
    fprintf(out, "; signing %s; %u connections\n",
            client->security_mode & SMB2_SIGNING_REQUIRED ? "required" : "not required", client->connections);
}

static void subject_json(const struct conform_report *report, struct output *output) {
    const struct conform_client *client = &report->client;
    char dialect[16];

    json_open(output, "client", '{');
    json_raw(output, "seen", client->seen ? "true" : "false");
    json_number(output, "connections", client->connections);
    json_open(output, "dialects", '[');
    for (unsigned i = 0; i < client->dialects.count; i++)
        json_string(output, NULL, dialect_text(client->dialects.ids[i], dialect));
    json_close(output, ']');
    json_raw(output, "signing_required", client->security_mode & SMB2_SIGNING_REQUIRED ? "true" : "false");
    json_close(output, '}');
}

const struct conform_suite *conform_clients(void) {
    static const struct conform_suite suite = {"smbproof conform client", table, CASES_COUNT, subject_text,
                                               subject_json};

    return &suite;
}

/* ---- settings ---- */

unsigned client_works_case(enum client_setting setting) {
    for (unsigned i = 0; i < CASES_COUNT; i++)
        if (table[i].misdeed->judge == JUDGE_WORKS && table[i].misdeed->setting == setting)
            return i;
    assert(false);
    return 0;
}

void client_want_works(bool wanted[CONFORM_CASES_MAX]) {
    for (unsigned i = 0; i < CASES_COUNT; i++)
        if (wanted[i])
            wanted[client_works_case(table[i].misdeed->setting)] = true;
}

void client_setting_policy(enum client_setting setting, struct server_policy *policy) {
    server_policy_defaults(policy);
    policy->signing_required = setting == SETTING_ALL || setting == SETTING_302;
    if (setting == SETTING_ENCRYPTED)
        policy->encryption = ENCRYPTION_MUST;
    if (setting == SETTING_302 || setting == SETTING_302_ALLOWED)
        policy->encryption = ENCRYPTION_OFF; /* some clients encrypt where they can,
     and then there are no signatures */
    if (setting == SETTING_302 || setting == SETTING_302_ALLOWED)
        policy->dialects = (struct id_list){{SMB2_DIALECT_302, SMB2_DIALECT_300, SMB2_DIALECT_210, SMB2_DIALECT_202},
     4};
    if (setting == SETTING_210_ALLOWED)
        policy->dialects = (struct id_list){{SMB2_DIALECT_210, SMB2_DIALECT_202}, 2};
}
