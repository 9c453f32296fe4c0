import { IopaError } from '@iopa/constants'

/** Bounds of a path; beyond them the answer is 414. */
export interface PathLimits {
  /** Number of segments. */
  readonly pathSegments: number
  /** UTF-16 units of one decoded segment. */
  readonly segmentLength: number
}

const DEFAULTS: PathLimits = { pathSegments: 64, segmentLength: 1024 }

const refuse = (code: string, detail: string): never => {
  throw new IopaError(400, code, detail)
}

const PERCENT = 37
const DOT = 46
const SLASH = 47
const BACKSLASH = 92

/** True when nothing in the path needs a closer look: no escape, backslash, NUL, surrogate, empty segment or one that begins with a dot, and short. */
const isPlain = (path: string): boolean => {
  if (path.length > 128 || path.charCodeAt(0) !== SLASH) return false
  let previous = 0
  for (let at = 0; at < path.length; at++) {
    const unit = path.charCodeAt(at)
    if (unit === PERCENT || unit === BACKSLASH || unit === 0 || (unit >= 0xd800 && unit <= 0xdfff)) return false
    if (previous === SLASH && (unit === SLASH || unit === DOT)) return false
    previous = unit
  }
  return true
}

const checkSegment = (segment: string, last: boolean, limits: PathLimits): void => {
  if (segment === '') {
    if (!last) refuse('empty-segment', "The path has an empty segment ('//').")
    return
  }
  if (segment === '.' || segment === '..') refuse('dot-segment', "The path has a segment '.' or '..'; send the path that it stands for.")
  if (segment.includes('/') || segment.includes('\\')) refuse('slash-in-segment', 'A segment of the path holds a slash or a backslash.')
  if (segment.includes('\0')) refuse('nul-in-path', 'The path holds a NUL character.')
  if (!segment.isWellFormed()) refuse('undecodable-path', 'The path is not valid Unicode.')
  if (segment.length > limits.segmentLength) {
    throw new IopaError(414, 'segment-too-long', `A segment of the path is longer than ${limits.segmentLength} characters.`)
  }
}

/**
 * The canonical path of decoded segments; an empty last one is a trailing slash.
 * @throws IopaError 400 for an illegal segment, 414 beyond the limits.
 */
export const joinPath = (segments: readonly string[], limits: PathLimits = DEFAULTS): string => {
  if (segments.length > limits.pathSegments) throw new IopaError(414, 'too-many-segments', `The path has more than ${limits.pathSegments} segments.`)
  if (segments.length === 0) return '/'
  let path = ''
  for (let at = 0; at < segments.length; at++) {
    const segment = segments[at] as string
    checkSegment(segment, at === segments.length - 1, limits)
    path += `/${segment}`
  }
  return path
}

/** Splits on `/` before anything is decoded, so that an escaped slash can never make a segment. */
const split = (path: string, limits: PathLimits): string[] => {
  if (path.charCodeAt(0) !== SLASH) refuse('relative-path', "The path must begin with '/'.")
  // Three units per decoded unit at most, so a path beyond this cannot be within the limits.
  if (path.length > limits.pathSegments * (limits.segmentLength * 12 + 1)) throw new IopaError(414, 'path-too-long', 'The path is too long.')
  return path.slice(1).split('/', limits.pathSegments + 1)
}

/**
 * The canonical path of one that comes percent-encoded: split first, each segment decoded once.
 * @throws IopaError 400 for what cannot be decoded or is illegal, 414 beyond the limits.
 */
export const decodePath = (raw: string, limits: PathLimits = DEFAULTS): string => {
  if (isPlain(raw)) return raw
  const segments = split(raw, limits)
  for (let at = 0; at < segments.length; at++) {
    const segment = segments[at] as string
    if (!segment.includes('%')) continue
    try {
      segments[at] = decodeURIComponent(segment)
    } catch {
      refuse('undecodable-path', 'The path holds an escape that is not valid UTF-8.')
    }
  }
  return joinPath(segments, limits)
}

/**
 * The canonical path of one that is not percent-encoded (a bag from the network, `notify`).
 * @throws IopaError 400 for an illegal path, 414 beyond the limits.
 */
export const checkPath = (path: string, limits: PathLimits = DEFAULTS): string => (isPlain(path) ? path : joinPath(split(path, limits), limits))

/** The path percent-encoded for a URL (RFC 3986 section 3.3). */
export const encodePath = (path: string): string =>
  path
    .split('/')
    .map(segment => encodeURIComponent(segment).replace(/%(24|26|2B|2C|3A|3B|3D|40)/g, code => decodeURIComponent(code)))
    .join('/')
