import { IopaError } from '@iopa/appbuilder'
import parse from 'range-parser'
import { evaluateConditions, type RequestHeaders, rangeApplies } from './conditions.ts'
import type { FileRepresentation } from './representation.ts'
import type { ByteRange } from './source.ts'

/** What of a representation answers a GET or HEAD. */
export interface Rendering {
  readonly status: 200 | 206 | 304
  /** A flat list of names and values. */
  readonly headers: string[]
  /** The part to send. */
  readonly range: ByteRange
}

const NOTHING: ByteRange = { start: 0, end: 0 }

/** Applies preconditions, then the range, in the order of RFC 9110 section 13.2.2; throws 412 and 416. */
export const render = (representation: FileRepresentation, method: string, headers: RequestHeaders): Rendering => {
  const verdict = evaluateConditions(headers, representation)
  if (verdict === 304) return { status: 304, headers: representation.validators, range: NOTHING }
  if (verdict === 412) throw new IopaError(412, 'precondition-failed', 'The file has changed: read it again, and send the new ETag in If-Match.')
  const { size } = representation
  const header = headers.get('range')
  // A Range means nothing to any method but GET (section 14.2).
  const range = method === 'GET' && typeof header === 'string' && rangeApplies(headers, representation) ? selectRange(header, size) : 'whole'
  if (range === 'whole') return { status: 200, headers: representation.headers, range: { start: 0, end: size } }
  if (range === 'unsatisfiable') {
    throw new IopaError(416, 'range-not-satisfiable', `The file has ${size} bytes: request a range within them.`, {
      headers: { 'content-range': `bytes */${size}` }
    })
  }
  return {
    status: 206,
    range,
    headers: [...representation.headers, 'content-range', `bytes ${range.start}-${range.end - 1}/${size}`]
  }
}

const OVERSIZED_SUFFIX = /^bytes=\s*-\s*0*[1-9]\d*\s*$/i

/** The one range that a Range header asks for; `whole` when it is to be ignored, `unsatisfiable` when 416 is the answer (RFC 9110 section 14.2). */
export const selectRange = (header: string, size: number): ByteRange | 'whole' | 'unsatisfiable' => {
  // Another unit is ignored (section 14.2).
  if (header.slice(0, 6).toLowerCase() !== 'bytes=') return 'whole'
  // Several ranges get the whole representation, as section 14.2 allows: no multipart to build, none to take apart.
  if (header.includes(',')) return 'whole'
  const ranges = parse(size, header)
  if (ranges === -2) return 'whole'
  if (ranges === -1) {
    // No Content-Range can name a part of an empty representation.
    if (size === 0) return 'unsatisfiable'
    // A suffix longer than the representation is the whole of it (section 14.1.2), which the parser calls unsatisfiable.
    return OVERSIZED_SUFFIX.test(header) ? { start: 0, end: size } : 'unsatisfiable'
  }
  return { start: ranges[0]!.start, end: ranges[0]!.end + 1 }
}
