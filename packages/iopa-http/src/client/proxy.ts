import { optionError } from '@iopa/transport'

/** A proxy, and the field Proxy-Authorization for it; empty for none. */
export interface ClientProxy {
  readonly url: URL
  readonly authorization: string
}

/** Reads the URL of a proxy. `place` says where it stands. @throws IopaError 500 `bad-option`, without the URL, which may hold a password */
export const proxyOf = (text: string, place: string): ClientProxy => {
  let url: URL | null = null
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`)
  } catch {
    // Refused below.
  }
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.pathname !== '/' || url.search !== '' || url.hash !== '')
    throw optionError(`${place} must be the URL of an HTTP proxy, such as http://proxy.example:3128, without a path.`)
  const { username, password } = url
  const authorization =
    username === '' && password === '' ? '' : `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`
  url.username = url.password = ''
  return { url, authorization }
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
