import { App, type AppOptions, type Bag } from '@iopa/appbuilder'

/** A request as over HTTPS, made inside the process. */
export const ask = (app: Pick<App, 'invoke'>, path = '/', cookie?: string | string[], bag: Bag = {}): ReturnType<App['invoke']> =>
  app.invoke({
    'iopa.Scheme': 'https',
    'iopa.Host': 'example.com',
    'iopa.Path': path,
    'iopa.Headers': cookie === undefined ? {} : { cookie },
    ...bag
  })

/** A browser as far as cookies go: it keeps what it is given, by name. */
export class Browser {
  readonly jar: Map<string, string> = new Map()
  readonly #app: Pick<App, 'invoke'>

  constructor(app: Pick<App, 'invoke'>) {
    this.#app = app
  }

  async ask(path: string): Promise<{ status: number; text: string; set: string[] }> {
    const cookie = [...this.jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await ask(this.#app, path, cookie === '' ? undefined : cookie)
    const set = answer.headers.getAll('set-cookie')
    this.keep(set)
    return { status: answer.status, text: await answer.text(), set }
  }

  keep(set: readonly string[]): void {
    for (const field of set) {
      const [pair = '', ...attributes] = field.split('; ')
      const end = pair.indexOf('=')
      if (attributes.includes('Max-Age=0')) this.jar.delete(pair.slice(0, end))
      else this.jar.set(pair.slice(0, end), pair.slice(end + 1))
    }
  }
}

/** An app that keeps what it logs as errors. */
export const logging = (options: AppOptions = {}): { app: App; logged: string[] } => {
  const logged: string[] = []
  const error = (...data: unknown[]): void => void logged.push(data.map(String).join(' '))
  return { app: new App({ ...options, logger: { error, warn: () => undefined, info: () => undefined, debug: () => undefined } }), logged }
}
