import { describeValue, isIopaError, isOpaque, isPlainObject } from '@iopa/constants'
import { isBrandedAnswer, isBrandedApp } from './brands.ts'
import { isReply } from './reply.ts'
import { isNodeStream, isWebStream, wasUsed } from './source-streams.ts'

/** What a value is, and so how it is sent. One function decides it for handlers, bags and clients alike. */
export const KIND = {
  /** Anything with a JSON form, or one of another codec. */
  Value: 0,
  Text: 1,
  Bytes: 2,
  Stream: 3,
  /** A body of which parts can be read. */
  Parts: 4,
  /** A synchronous iterable: a stream when its first item is bytes or text, else an array. */
  Items: 5,
  Blob: 6,
  Form: 7,
  Multipart: 8,
  Reply: 9,
  Answer: 10,
  Response: 11,
  Error: 12,
  /** It cannot be sent. */
  Unsendable: 13
} as const

export type Kind = (typeof KIND)[keyof typeof KIND]

const isFunction = (value: object, name: string): boolean => typeof (value as Record<string, unknown>)[name] === 'function'

const tagOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)

/** The kind of any value. */
export const kindOf = (value: unknown): Kind => {
  switch (typeof value) {
    case 'string':
      return KIND.Text
    case 'object':
      return value === null ? KIND.Value : kindOfObject(value)
    case 'bigint':
    case 'function':
    case 'symbol':
      return KIND.Unsendable
    default:
      return KIND.Value
  }
}

/** The kind of an object, by its structure: it may come from another copy of a package, or another realm. */
export const kindOfObject = (value: object): Kind => {
  if (Array.isArray(value)) return KIND.Value
  if (ArrayBuffer.isView(value)) return KIND.Bytes
  if (isReply(value)) return KIND.Reply
  if (Symbol.asyncIterator in value) return kindOfStream(value)
  if (isFunction(value, 'then')) return KIND.Unsendable
  if (isPlainObject(value)) return Symbol.iterator in value ? KIND.Items : isWebStream(value) ? kindOfStream(value) : KIND.Value
  if (isBrandedAnswer(value)) return KIND.Answer
  if (value instanceof Error || isIopaError(value)) return KIND.Error
  return kindOfInstance(value)
}

const kindOfStream = (value: object): Kind => {
  if (isFunction(value, 'read') && typeof (value as { size?: unknown }).size === 'number') return KIND.Parts
  return wasUsed(value) ? KIND.Unsendable : KIND.Stream
}

const kindOfInstance = (value: object): Kind => {
  const tag = tagOf(value)
  if (tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer') return KIND.Bytes
  if (tag === 'URLSearchParams') return KIND.Form
  if (tag === 'FormData' && isFunction(value, 'getAll')) return KIND.Multipart
  if (tag === 'Error' || tag === 'DOMException') return KIND.Error
  if (isFunction(value, 'arrayBuffer')) {
    if (isFunction(value, 'slice') && typeof (value as Partial<Blob>).size === 'number') return KIND.Blob
    if ('headers' in value && typeof (value as Partial<Response>).status === 'number') {
      const { body, bodyUsed } = value as Response
      return bodyUsed || (body !== null && typeof body === 'object' && wasUsed(body)) ? KIND.Unsendable : KIND.Response
    }
    return KIND.Unsendable
  }
  if (isWebStream(value)) return kindOfStream(value)
  if (isFunction(value, 'toJSON')) return KIND.Value
  if (tag === 'String') return KIND.Text
  if (Symbol.iterator in value) return KIND.Items
  // Sockets, writable streams, file handles: things that act, whose fields are nothing for a peer.
  if (isNodeStream(value) || (isFunction(value, 'on') && isFunction(value, 'emit'))) return KIND.Unsendable
  return isBrandedApp(value) || isOpaque(value) ? KIND.Unsendable : KIND.Value
}

/** The error for a value that cannot be sent; it is for the log alone. */
export const unsendable = (value: unknown): TypeError => {
  if (typeof value === 'object' && value !== null) {
    if (isFunction(value, 'then')) return new TypeError(`${describeValue(value)} cannot be sent; await it first`)
    if (isWebStream(value) || Symbol.asyncIterator in value || 'bodyUsed' in value)
      return new TypeError(`${describeValue(value)} cannot be sent, for it is locked or has been read; give each answer a stream of its own`)
  }
  return new TypeError(`${describeValue(value)} cannot be sent; send bytes, text, a stream, or a value with a JSON form`)
}
