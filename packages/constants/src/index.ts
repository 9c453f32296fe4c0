/**
 * The names of IOPA: keys and their types, methods, statuses, media types, and the one error.
 *
 * @example
 * import { IOPA, IopaError } from '@iopa/constants'
 * if (context[IOPA.Method] !== 'GET') throw new IopaError(405, 'read-only', 'This resource can only be read.')
 */

export type { Capabilities, Capability } from './capabilities.ts'
export { CAPABILITIES } from './capabilities.ts'
export type { Codec } from './codecs.ts'
export { CodecTable, decodeText, jsonCodec, octetStreamCodec, textCodec } from './codecs.ts'
export type { IopaErrorCode } from './error-codes.ts'
export type { ErrorOrigin, IopaErrorOptions } from './errors.ts'
export { IopaError, isIopaError, originOf, withOrigin } from './errors.ts'
export type {
  AnswerKeys,
  Bag,
  Body,
  CoreKeys,
  ExtensionKey,
  HeaderFields,
  HeadersInit,
  Inform,
  IopaKeys,
  Logger,
  OnSendingHeaders,
  RandomAccessBody,
  ReceivedKeys,
  SendingOptions,
  Trailers,
  User,
  Validity
} from './iopa-keys.ts'
export { checkKeys, describeValue, encodeJson, isOpaque, isPlainObject, listItems, parseJson } from './json-text.ts'
export type { KeyDeclaration, KeysDeclaration } from './key-declarations.ts'
export { defineKeys } from './key-declarations.ts'
export { IOPA, IOPA_VERSION, SERVER, SSL } from './keys.ts'
export { MEDIA_TYPES, mediaTypeEssence } from './media-types.ts'
export { CONTROL_METHODS, changesState, checkMethodCase, isControlMethod, METHODS } from './methods.ts'
export { DEFAULT_PORTS, schemeOf } from './schemes.ts'
export { reasonPhrase, STATUS } from './statuses.ts'
export { sameUser, userKeyOf } from './users.ts'
