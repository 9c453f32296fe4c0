import type { App, Bag } from '@iopa/appbuilder'

/** A request as over HTTP, made inside the process. */
export const ask = (app: Pick<App, 'invoke'>, headers: Record<string, string | string[]> = {}, bag: Bag = {}): ReturnType<App['invoke']> =>
  app.invoke({ 'iopa.Scheme': 'http', 'iopa.Host': 'example.com', 'iopa.Port': 80, 'iopa.Headers': headers, ...bag })
