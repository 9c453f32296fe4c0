import { IopaError } from '@iopa/constants'
import type { AppHandle, Extension } from './app-types.ts'

/** Puts the methods of an extension on an app. @throws IopaError 500 where the app has a method of that name. */
export const extendApp = (app: object, extension: Extension<object>, handle: AppHandle): void => {
  const methods = extension.extend(handle) as Record<string, unknown>
  for (const name of Object.keys(methods)) {
    if (name in app) throw new IopaError(500, 'method-taken', `'${extension.name}' adds the method '${name}', which this app has already.`)
    Object.defineProperty(app, name, { value: methods[name], enumerable: true })
  }
}
