/**
 * Who asks, and who may do what: authentication by Basic, bearer tokens, API keys, certificates and pre-shared keys, and one set of rules for every
 * protocol.
 *
 * @example
 * app.use(basic({ verify: (name, password) => accounts.check(name, password) })).use(allow([{ may: 'read', to: '/lights/#' }]))
 */

export type { AnyOfOptions } from './any-of.ts'
export { anyOf } from './any-of.ts'
export type { ApiKeyOptions } from './api-key.ts'
export { apiKey } from './api-key.ts'
export type { Authentication, OptionalAuthentication } from './authentication.ts'
export type { BasicOptions } from './basic.ts'
export { basic } from './basic.ts'
export type { BearerOptions } from './bearer.ts'
export { bearer } from './bearer.ts'
export type { ClientCertificateOptions } from './client-certificate.ts'
export { clientCertificate } from './client-certificate.ts'
export type { JwtOptions } from './jwt.ts'
export { AUTH_KEYS } from './keys.ts'
export type { PasswordOptions } from './passwords.ts'
export { hashPassword, verifyPassword } from './passwords.ts'
export type { ProvenNameOptions } from './proven-name.ts'
export { preSharedKey, rawPublicKey, securityContext } from './proven-name.ts'
export type { Action } from './rules/actions.ts'
export { allow } from './rules/allow.ts'
export type { Rule } from './rules/rule.ts'
export type { Verified } from './scheme.ts'
export { sameSecret } from './secrets.ts'
