// Takes what is said in a page, which lies in a frame of the notebook, on to `Results` in Python.
// It has no view of its own, so that the page is a plain output, and is still there without a kernel.
export default {
  initialize({ model }) {
    const key = model.get("key"), call = (frame) => frame?.postMessage({ tfl: key }, "*");
    const hear = ({ source, data }) => {
      if (data?.tfl !== key) return;
      if (data.answers === undefined) return call(source);  // the page came after this
      model.set("said", { answers: data.answers, labels: data.labels });
      model.save_changes();
    };
    addEventListener("message", hear);
    for (const { contentWindow } of document.querySelectorAll("iframe")) call(contentWindow);
    return () => removeEventListener("message", hear);
  },
};
