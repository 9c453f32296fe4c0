import { App, type AppOptions } from '@iopa/appbuilder'
import { type HttpOptions, http } from '@iopa/http'
import { afterEach } from 'vitest'

const open: (() => unknown)[] = []

/** Ends with the test. */
const atEnd = (dispose: () => unknown): void => {
  open.push(dispose)
}

afterEach(async () => {
  for (const dispose of open.splice(0).reverse()) await dispose()
})

/** What an app has logged as errors. */
export const errors: unknown[][] = []

/** An app that listens for HTTP; `build` adds the rest. */
export const serve = async (
  build: (app: App) => unknown,
  options: { readonly app?: AppOptions; readonly http?: HttpOptions } = {}
): Promise<{ readonly app: App; readonly origin: string }> => {
  errors.length = 0
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const app = new App({ logger, ...options.app }).use(http({ port: 0, ...options.http }))
  build(app)
  const [listener] = await app.listen()
  atEnd(() => app.close({ timeout: 100 }))
  return { app, origin: (listener as { readonly url: URL }).url.origin }
}

/** Waits until something is true. */
export const eventually = async (what: string, isTrue: () => boolean): Promise<void> => {
  for (let turns = 0; turns < 2000 && !isTrue(); turns++) await new Promise(resolve => setTimeout(resolve, 1))
  if (!isTrue()) throw new Error(`It was never true that ${what}.`)
}
