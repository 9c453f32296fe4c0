import { IopaError } from '@iopa/appbuilder'

/** The parts of an absolute-form target (RFC 9112 section 3.2.2). */
export interface AbsoluteTarget {
  readonly authority: string
  /** Path and query. */
  readonly rest: string
}

/** Splits a target that does not begin with `/`. @throws IopaError 400 for anything but `http(s)://host/path`. */
export const absoluteTarget = (target: string): AbsoluteTarget => {
  const parts = /^https?:\/\/([^/?#@]+)([/?][^#]*)?$/i.exec(target)
  if (parts === null)
    throw new IopaError(400, 'bad-target', "The request target must be a path that begins with '/', or an http URL without user and fragment.")
  const rest = parts[2] ?? '/'
  return { authority: parts[1] as string, rest: rest.startsWith('/') ? rest : `/${rest}` }
}

/** True when one of the media ranges of an Accept header is `text/event-stream` and not refused by its weight. */
export const acceptsEventStream = (accept: string): boolean =>
  accept.toLowerCase().includes('text/event-stream') &&
  accept.split(',').some(range => {
    const [type = '', ...parameters] = range.split(';')
    return type.trim().toLowerCase() === 'text/event-stream' && !parameters.some(parameter => /^\s*q\s*=\s*0(?:\.0*)?\s*$/i.test(parameter))
  })
