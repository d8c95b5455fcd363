/* The cases, by file; the table (table.c) says what each is. */
#ifndef SMBPROOF_CONFORM_CASES_H
#define SMBPROOF_CONFORM_CASES_H

struct trial;
#define CASE(name) void case_##name(struct trial *trial);

/* cases_negotiate.c */
CASE(dialect_202) CASE(dialect_210) CASE(dialect_300) CASE(dialect_302) CASE(dialect_311)
CASE(dialect_unspoken) CASE(dialect_unknown) CASE(smb1_wildcard) CASE(smb1_202) CASE(smb1_second)
CASE(smb1_malformed) CASE(smb1_no_smb2) CASE(smb1_later) CASE(wildcard_then_session) CASE(signing_enabled)
CASE(second_negotiate) CASE(no_dialects) CASE(no_common_dialect) CASE(many_dialects) CASE(negotiate_short)
CASE(negotiate_reserved) CASE(negotiate_guid_zero) CASE(negotiate_message_id) CASE(negotiate_signed)
CASE(session_before_negotiate) CASE(responses_as_client) CASE(capabilities)
/* cases_contexts.c */
CASE(preauth_alone) CASE(cipher_128_ccm) CASE(cipher_256_ccm) CASE(cipher_128_gcm) CASE(cipher_256_gcm)
CASE(all_contexts) CASE(no_contexts) CASE(encryption_without_preauth) CASE(compression_without_preauth)
CASE(both_without_preauth) CASE(unknown_hash) CASE(unknown_cipher) CASE(signing_capability)
CASE(signing_unknown) CASE(compression_enabled) CASE(compression_chained) CASE(compression_unknown)
CASE(compression_below_311) CASE(compression_short) CASE(compression_empty) CASE(netname)
CASE(compression_not_chained) CASE(rdma) CASE(rdma_empty) CASE(rdma_short) CASE(two_preauth) CASE(two_ciphers)
CASE(two_signing) CASE(two_compression) CASE(hash_empty) CASE(hash_short) CASE(hash_count) CASE(ciphers_empty)
CASE(signing_empty) CASE(contexts_misaligned) CASE(contexts_beyond) CASE(contexts_in_dialects) CASE(unknown_context)
CASE(salt_differs)
/* cases_validate.c */
CASE(validate) CASE(validate_no_common) CASE(validate_common_other) CASE(validate_guid) CASE(validate_guid_end)
CASE(validate_mode) CASE(validate_capabilities) CASE(validate_max_output) CASE(validate_311) CASE(validate_permuted)
CASE(validate_unsigned) CASE(validate_bad_signature) CASE(validate_flags) CASE(validate_file_id) CASE(validate_input_offset)
CASE(validate_input_beyond) CASE(validate_input_short) CASE(validate_count) CASE(validate_sizes) CASE(validate_twice)
CASE(validate_encrypted) CASE(validate_every_dialect) CASE(validate_not_implemented)
/* cases_session.c */
CASE(new_session) CASE(reauthenticate) CASE(reconnect) CASE(reconnect_other_dialect) CASE(bind_202) CASE(bind_210)
CASE(bind_without_multichannel) CASE(session_unknown) CASE(session_logged_off) CASE(session_foreign)
CASE(session_in_progress) CASE(session_setup_unknown) CASE(session_setup_pipelined) CASE(session_setup_endless)
CASE(session_garbage) CASE(session_wrong_password) CASE(session_id) CASE(final_signed) CASE(signing) CASE(gmac)
CASE(hmac) CASE(cmac) CASE(bad_signature) CASE(unsigned_where_required) CASE(signed_in_progress)
CASE(signed_unknown_session) CASE(errors_signed) CASE(tree) CASE(unsigned_tree_311)
CASE(cluster_reconnect) CASE(tree_unknown) CASE(tree_gone) CASE(tree_unknown_ioctl) CASE(share_unknown) CASE(path_bad)
CASE(tree_foreign)
/* cases_encrypt.c */
CASE(encrypt_session) CASE(encrypt_share) CASE(encrypt_311) CASE(encrypt_128_ccm) CASE(encrypt_256_ccm)
CASE(encrypt_128_gcm) CASE(encrypt_256_gcm) CASE(encrypt_300) CASE(inner_signature) CASE(clear_where_encrypted)
CASE(transform_tag) CASE(transform_flags) CASE(transform_size) CASE(transform_session) CASE(transform_inner_session)
CASE(transform_inner_related) CASE(transform_empty) CASE(transform_early) CASE(compressed) CASE(cipher_required)
CASE(clear_answer)
/* cases_frames.c */
CASE(multi_credit) CASE(credit_charge) CASE(credit_grant) CASE(message_id_used) CASE(message_id_beyond)
CASE(charge_beyond) CASE(cancel_unanswered) CASE(out_of_order) CASE(related) CASE(unrelated) CASE(related_encrypted)
CASE(unrelated_encrypted) CASE(first_related) CASE(nothing_inherited) CASE(no_file_inherited) CASE(failure_inherited)
CASE(chain_misaligned) CASE(chain_beyond) CASE(chain_into_header) CASE(chain_long) CASE(chain_negotiate)
CASE(frame_long) CASE(echo_long) CASE(frame_garbage) CASE(header_size) CASE(header_short) CASE(command_unknown)
CASE(body_size) CASE(direction) CASE(smb1_message) CASE(echo) CASE(echo_without_session) CASE(async_request)

#undef CASE
#endif
