import { IopaError } from '@iopa/appbuilder'
import { evaluateConditions, type RequestHeaders, rangeApplies } from './conditions.ts'
import { type ByteRange, selectRange } from './ranges.ts'
import type { FileRepresentation } from './representation.ts'

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
  if (verdict === 412) throw new IopaError(412, 'precondition-failed', 'The file has changed: read it again, and send the new ETag in If-Match')
  const { size } = representation
  const header = headers.get('range')
  // A Range means nothing to any method but GET (section 14.2).
  const range = method === 'GET' && typeof header === 'string' && rangeApplies(headers, representation) ? selectRange(header, size) : 'whole'
  if (range === 'whole') return { status: 200, headers: representation.headers, range: { start: 0, end: size } }
  if (range === 'unsatisfiable') {
    throw new IopaError(416, 'range-not-satisfiable', `The file has ${size} bytes; ask for a range within them`, {
      headers: { 'content-range': `bytes */${size}` }
    })
  }
  return {
    status: 206,
    range,
    headers: [...representation.headers, 'content-range', `bytes ${range.start}-${range.end - 1}/${size}`]
  }
}
