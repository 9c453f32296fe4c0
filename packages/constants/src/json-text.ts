import { IopaError } from './errors.ts'

/**
 * Refuses a decoded value that has a key `__proto__` or `constructor.prototype` anywhere, for all formats of values.
 * @throws IopaError 400 `forbidden-key`
 */
export const checkKeys = (value: unknown): void => {
  if (poisoned(value)) throw new IopaError(400, 'forbidden-key', 'The body uses a key that is not allowed: __proto__ or constructor.prototype.')
}

const poisoned = (root: unknown): boolean => {
  const open: unknown[] = [root]
  for (let value = open.pop(); open.length > 0 || value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    if (Object.hasOwn(value, '__proto__')) return true
    if (Object.hasOwn(value, 'constructor')) {
      const own: unknown = (value as { constructor: unknown }).constructor
      if (typeof own === 'object' && own !== null && Object.hasOwn(own, 'prototype')) return true
    }
    for (const key of Object.keys(value)) open.push((value as Record<string, unknown>)[key])
  }
  return false
}

// Shorter texts are not looked through: even where they hold nothing but arrays, their values are small.
const UNCHECKED = 16 * 1024
const DEEPEST = 1000

/**
 * Refuses a text whose values would take many times its size, such as `[[],[],[]]`: one array, object or member for each four
 * characters, beside the first 10,000. Malformed JSON is left to the parser.
 */
const checkShape = (text: string): void => {
  let left = 10_000 + text.length / 4
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) at = endOfString(text, at)
    else if (code === 91 || code === 123) {
      left--
      if (++depth > DEEPEST) throw new IopaError(400, 'json-too-deep', `The JSON is nested more than ${DEEPEST} levels deep: send a flatter value.`)
    } else if (code === 93 || code === 125) depth--
    else if (code === 58) left--
    if (left < 0) throw new IopaError(413, 'json-too-dense', 'The JSON has too many arrays, objects and members for its size: send it in parts.')
  }
}

/** Where the string that begins at `at` ends. */
const endOfString = (text: string, at: number): number => {
  for (let end = text.indexOf('"', at + 1); end > 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0
    while (text.charCodeAt(end - 1 - slashes) === 92) slashes++
    if (slashes % 2 === 0) return end
  }
  return text.length
}

/**
 * The value of a JSON text. @throws IopaError 400 for malformed JSON, for one that is nested too deep, and for `__proto__` or `constructor.prototype`
 * as keys; 413 for one whose values would take many times its size.
 */
export const parseJson = (text: string): unknown => {
  if (text.length > UNCHECKED) checkShape(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new IopaError(400, 'malformed-json', 'The body is not valid JSON.')
  }
  // An escaped key would hide from a search for its name, so any escape means a closer look.
  if (text.includes('__proto__') || text.includes('constructor') || text.includes('\\u')) checkKeys(value)
  return value
}

/** What kind of thing a value is, for the sentence of an error: `a Promise`, `an instance of Lamp`. */
export const describeValue = (value: unknown): string => {
  if (typeof value === 'bigint') return 'a BigInt'
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  const tag = Object.prototype.toString.call(value).slice(8, -1)
  if (tag !== 'Object') return `${/^[AEIOU]/.test(tag) ? 'an' : 'a'} ${tag}`
  const name = (value as { constructor?: { name?: unknown } } | null)?.constructor?.name
  return typeof name === 'string' && name !== '' && name !== 'Object' ? `an instance of ${name}` : 'an object'
}

/** Values that are looked at in one that cannot be sent. */
const MOST_SEARCHED = 10_000

/** Items that an iterable may have to become a JSON array. */
const MOST_ITEMS = 1_000_000

/** The items of an iterable, `begun` before the others. @throws TypeError for one that does not end. */
export const listItems = (iterator: Iterator<unknown>, begun: unknown[] = []): unknown[] => {
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) {
    if (begun.length === MOST_ITEMS) {
      iterator.return?.()
      throw new TypeError(`an iterable with more than ${MOST_ITEMS} items cannot be sent as JSON; yield bytes or text to send it as a stream`)
    }
    begun.push(next.value)
  }
  return begun
}

/** True for an object literal, of any realm. */
export const isPlainObject = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    prototype === Object.prototype ||
    prototype === null ||
    // The prototype of an object literal of another realm.
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'isPrototypeOf'))
  )
}

const isBoxed = (value: object): boolean => /^\[object (?:Number|Boolean|String)\]$/.test(Object.prototype.toString.call(value))

/** True for an object of a class that shows nothing to JSON: a Promise, a RegExp, a class whose fields are all private. */
export const isOpaque = (value: object): boolean =>
  !isPlainObject(value) && !Array.isArray(value) && Object.keys(value).length === 0 && !isBoxed(value) && !ArrayBuffer.isView(value)

/** True for a stream, a socket, an emitter: a thing that acts, whose fields are nothing for a peer. */
const isActing = (value: object): value is { on(event: string, listener: () => void): unknown } =>
  typeof (value as { on?: unknown }).on === 'function' && typeof (value as { emit?: unknown }).emit === 'function'

const hasItems = (value: object): value is Iterable<unknown> => typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function'

/** True for an object of nothing but methods: JSON leaves out functions and symbols. */
const isMute = (value: object): boolean => {
  const members: unknown[] = Object.values(value)
  return members.length > 0 && members.every(member => typeof member === 'function' || typeof member === 'symbol')
}

/** True for a value that JSON cannot represent. Its text is finite, so the value has no cycle. */
const isHidden = (value: unknown): boolean => {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value)) return value.some(isHidden)
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return true
  if (hasItems(value) || isOpaque(value) || isActing(value) || isMute(value)) return true
  for (const key of Object.keys(value)) if (isHidden((value as Record<string, unknown>)[key])) return true
  return false
}

const ignore = (): void => undefined

/** Listens to the streams and promises in a value that is not sent: nothing else would, and their failure would end the process. */
const quiet = (root: unknown): void => {
  const seen = new Set<unknown>([root])
  for (const value of seen) {
    if (typeof value !== 'object' || value === null || seen.size > MOST_SEARCHED) continue
    try {
      if (value instanceof Promise) value.catch(ignore)
      else if (isActing(value)) value.on('error', ignore)
      else for (const inner of Object.values(value)) seen.add(inner)
    } catch {
      // A hostile getter hides what it holds.
    }
  }
}

/** As `JSON.stringify`, but iterables become arrays of their items, and what would silently become `{}`, or show what is inside a stream, throws. */
const spell = (root: unknown): string => {
  let failure: TypeError | null = null
  const text = JSON.stringify(root, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value) || isBoxed(value)) return value
    if (hasItems(value)) return listItems(value[Symbol.iterator]())
    const acts = isActing(value)
    if (!acts && !isOpaque(value) && !isMute(value)) return value
    failure ??= new TypeError(`${describeValue(value)} has no JSON form; send its value, or give its class a toJSON method`)
    // The items of iterables are seen here alone.
    if (value instanceof Promise) value.catch(ignore)
    if (acts) value.on('error', ignore)
    return null
  })
  if (failure !== null) throw failure
  return text
}

/** The JSON text of a value; iterables in it are arrays of their items. @throws TypeError for what has no JSON form. */
export const encodeJson = (value: unknown): string => {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
    // Only what shows nothing becomes {}: a Map, a Promise; emitters show their listeners. Everything else needs no closer look.
    if (text !== undefined && (text.includes('{}') || text.includes('_events"')) && isHidden(value)) text = spell(value)
  } catch (error) {
    quiet(value)
    if (error instanceof TypeError && /BigInt/.test(error.message))
      throw new TypeError('a BigInt has no JSON form; send it as a string', { cause: error })
    if (error instanceof TypeError && /circular|cyclic/.test(error.message))
      throw new TypeError('a cyclic value has no JSON form; leave out the reference to itself', { cause: error })
    throw error
  }
  if (text === undefined) throw new TypeError(`${describeValue(value)} has no JSON form`)
  return text
}
