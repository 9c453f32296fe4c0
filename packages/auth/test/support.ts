import type { App, Bag } from '@iopa/appbuilder'

/** An app in a test, of whatever type. */
export type AnyApp = Pick<App, 'invoke'>

export const basicOf = (name: string, password: string): string => `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`

/** What an answer says in a few words: its status, code and challenge. */
export const ask = async (app: AnyApp, bag: Bag): Promise<{ status: number; code: unknown; challenge: string | undefined; text: string }> => {
  const answer = await app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': '/', ...bag })
  const text = await answer.text()
  const code = answer.ok ? undefined : (JSON.parse(text) as { code?: unknown }).code
  return { status: answer.status, code, challenge: answer.headers.get('www-authenticate'), text }
}

/** With a header. */
export const withHeader = (name: string, value: string | readonly string[]): Bag => ({ 'iopa.Headers': { [name]: value } })
