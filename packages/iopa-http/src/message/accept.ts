const EVENT_STREAM = 'text/event-stream'
// RFC 9110 section 12.4.2; anything else is no weight.
const WEIGHT = /^\s*q\s*=\s*([01](?:\.\d{0,3}0*)?)\s*$/i

/** True when an Accept header asks for an event stream, and for no other type with a greater weight (RFC 9110 section 12.5.1). */
export const acceptsEventStream = (accept: string): boolean => {
  if (!accept.toLowerCase().includes(EVENT_STREAM)) return false
  let events = 0
  let others = 0
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';')
    const name = type.trim().toLowerCase()
    if (name === EVENT_STREAM) events = Math.max(events, weightOf(parameters))
    else if (name !== '') others = Math.max(others, weightOf(parameters))
  }
  return events > 0 && events >= others
}

/** From 0 to 1. */
const weightOf = (parameters: readonly string[]): number => {
  for (const parameter of parameters) {
    const weight = WEIGHT.exec(parameter)?.[1]
    if (weight !== undefined) return Math.min(1, Number(weight))
  }
  return 1
}
