FROM debian@sha256:1111111111111111111111111111111111111111111111111111111111111111
RUN pip install --no-cache-dir numpy "torch>=2.1" transformers==4.46.2
RUN python3 -m pip install -q pybind11
RUN conda install -y -c conda-forge ninja cmake=3.28
RUN pip install -r requirements.txt && pip install .
USER 1000:1000
