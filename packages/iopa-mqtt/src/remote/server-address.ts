import type { RemoteOptions } from './options.ts'

/** User name and password, from the options or else from the URL. */
export const credentialsOf = (url: URL, { username, password }: RemoteOptions): { username: string | undefined; password: string | undefined } => ({
  username: username ?? decoded(url.username),
  password: password ?? decoded(url.password)
})

const decoded = (text: string): string | undefined => {
  if (text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The first server of a reference: `host`, `host:port`, several divided by spaces (MQTT 5 section 4.11). */
export const elsewhere = (url: URL, servers: string): URL => {
  const server = servers.trim().split(/\s+/)[0] ?? ''
  const reference = `${url.protocol}//${server}`
  if (server === '' || !URL.canParse(reference)) return url
  const moved = new URL(reference)
  moved.pathname = url.pathname
  moved.search = url.search
  return moved
}
