import { IopaError } from '@iopa/constants'
import { Token, Tokenizer, Type } from 'cborg'

/** Arrays and maps inside each other, as for JSON. */
const DEEPEST = 1000

/** Arrays, maps and members that any body may have. */
const FREE = 10_000

/** A tag that only says that CBOR follows (RFC 8949 section 3.4.6). */
const SELF_DESCRIBED = 55_799

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const malformed = (why: string): IopaError => new IopaError(400, 'malformed-cbor', `The body is not valid CBOR: ${why}.`)

const unsupported = (what: string, instead: string): IopaError =>
  new IopaError(400, 'unsupported-cbor', `The CBOR holds ${what}, which JSON has no form for: send ${instead}.`)

/**
 * The tokens of a CBOR value that has a JSON form, within bounds on depth and density. The library reads heads and numbers; this checks what it
 * does not: that text is UTF-8, that a break ends what it may end, and how much memory the value takes.
 */
export class JsonTokens extends Tokenizer {
  readonly #convert: boolean
  /** Items that the open arrays and maps still take, outermost first; infinite for those that end with a break. */
  readonly #left: number[] = []
  /** Items that the open maps have taken; -1 for an array. */
  readonly #taken: number[] = []
  #budget: number
  /** True when a text is one of the keys that `checkKeys` refuses. */
  hasSuspectText = false

  /** `convert` gives what JSON does not have the form of RFC 8949 section 6.1. */
  constructor(bytes: Uint8Array, convert: boolean) {
    // A Buffer cuts otherwise than other byte arrays.
    super(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), { allowIndefinite: true, allowUndefined: true, allowBigInt: true })
    this.#convert = convert
    // A map with one short member takes four bytes and counts two.
    this.#budget = FREE + bytes.length / 2
  }

  override next(): Token {
    while (this.#left.at(-1) === 0) this.#close()
    let token = super.next()
    if (token.type === Type.break) {
      this.#end()
      return token
    }
    while (token.type === Type.tag) token = this.#behindTag(token)
    const isKey = this.#count()
    if (token.type === Type.array || token.type === Type.map) this.#open(token)
    else if (token.type === Type.string) return this.#checked(token)
    else if (isKey || !isJson(token)) return this.#converted(token, isKey)
    return token
  }

  #behindTag(tag: Token): Token {
    if (!this.#convert && tag.value !== SELF_DESCRIBED) throw unsupported(`the tag ${tag.value}`, 'the value without a tag')
    const token = this.done() ? undefined : super.next()
    if (token === undefined || token.type === Type.break) throw malformed('a tag has no value')
    return token
  }

  /** Counts an item of the innermost array or map; true for a key. */
  #count(): boolean {
    const top = this.#left.length - 1
    if (top < 0) return false
    const left = this.#left[top] as number
    this.#left[top] = left - 1
    const taken = this.#taken[top] as number
    if (taken < 0) return false
    this.#taken[top] = taken + 1
    const isKey = taken % 2 === 0
    if (isKey) this.#spend()
    return isKey
  }

  #open({ type, value }: Token): void {
    this.#spend()
    if (this.#left.length === DEEPEST)
      throw new IopaError(400, 'cbor-too-deep', `The CBOR is nested more than ${DEEPEST} levels deep: send a flatter value.`)
    this.#left.push(type === Type.map ? 2 * value : value)
    this.#taken.push(type === Type.map ? 0 : -1)
  }

  #close(): void {
    this.#left.pop()
    this.#taken.pop()
  }

  #end(): void {
    if (this.#left.at(-1) !== Number.POSITIVE_INFINITY) throw malformed('a break has nothing to end')
    if (((this.#taken.at(-1) ?? 0) & 1) === 1 && this.#taken.at(-1) !== -1) throw malformed('a key has no value')
    this.#close()
  }

  #spend(): void {
    if (--this.#budget < 0)
      throw new IopaError(413, 'cbor-too-dense', 'The CBOR has too many arrays, maps and members for its size: send it in parts.')
  }

  /** Text that is certainly UTF-8; the library replaces what is not, and drops a byte order mark. */
  #checked(token: Token): Token {
    const text: string = token.value
    if (text === '__proto__' || text === 'constructor') this.hasSuspectText = true
    const { data } = this
    const end = this.pos()
    const head = end - (token.encodedLength as number)
    const start = head + lengthOfHead(data[head] as number)
    if (data[start] !== 0xef && !text.includes('\ufffd')) return token
    try {
      return new Token(Type.string, utf8.decode(data.subarray(start, end)), token.encodedLength)
    } catch {
      throw malformed('a text is not UTF-8')
    }
  }

  /** What JSON has no form for. */
  #converted(token: Token, isKey: boolean): Token {
    const { type, value } = token
    const isInteger = type === Type.uint || type === Type.negint
    if (!this.#convert) {
      if (isKey) throw unsupported('a key that is not text', 'text as keys')
      if (isInteger) throw unsupported('an integer beyond 2^53', 'it as text')
      if (type === Type.bytes) throw unsupported('a byte string', 'it as base64url text')
      if (type === Type.undefined) throw unsupported('undefined', 'null, or leave the member out')
      throw unsupported(String(value), 'null')
    }
    if (isInteger) return new Token(Type.string, String(value), token.encodedLength)
    if (type === Type.bytes) return new Token(Type.string, base64url(value), token.encodedLength)
    if (isKey) throw malformed('a key is neither text nor an integer')
    return new Token(Type.null, null, token.encodedLength)
  }
}

const isJson = ({ type, value }: Token): boolean => {
  if (typeof value === 'bigint' || type === Type.bytes || type === Type.undefined) return false
  return typeof value !== 'number' || Number.isFinite(value)
}

/** Bytes of the head of an item (RFC 8949 section 3). */
const lengthOfHead = (initial: number): number => {
  const info = initial & 31
  return info < 24 ? 1 : 1 + 2 ** (info - 24)
}

const base64url = (bytes: Uint8Array): string => {
  let binary = ''
  // More arguments than this may not fit on the stack.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}
