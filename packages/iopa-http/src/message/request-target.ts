import { IopaError } from '@iopa/transport'

/** The parts of an absolute-form target (RFC 9112 section 3.2.2). */
export interface AbsoluteTarget {
  /** `http` or `https`. */
  readonly scheme: string
  readonly authority: string
  /** Path and query. */
  readonly rest: string
}

/** Splits a target that does not begin with `/`. @throws IopaError 400 for anything but `http(s)://host/path`. */
export const absoluteTarget = (target: string): AbsoluteTarget => {
  const parts = /^(https?):\/\/([^/?#@]+)([/?][^#]*)?$/i.exec(target)
  if (parts === null)
    throw new IopaError(400, 'bad-target', "The request target must be a path that begins with '/', or an http URL without user and fragment.")
  const rest = parts[3] ?? '/'
  return { scheme: (parts[1] as string).toLowerCase(), authority: parts[2] as string, rest: rest.startsWith('/') ? rest : `/${rest}` }
}

/** True when two authorities name the same host and port; one without a port has the default port of the scheme (RFC 9110 section 4.2.3). */
export const isSameAuthority = (one: string, other: string, scheme: string): boolean => normal(one, scheme) === normal(other, scheme)

const normal = (authority: string, scheme: string): string => {
  const name = authority.toLowerCase()
  return name.replace(scheme === 'https' ? /:(?:443)?$/ : /:(?:80)?$/, '')
}
